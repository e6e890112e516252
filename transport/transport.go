package transport

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stayopen-go/stayopen/pool"
)

// Transport is an http.RoundTripper that keeps connections open and counts
// what that saves. It takes the place of an *http.Transport; see the package's
// documentation for what differs.
//
// A Transport is safe for concurrent use. It holds connections and goroutines
// until Close or Shutdown.
type Transport struct {
	template *http.Transport // for schemes other than http and https

	dialTCP dialFunc
	dialTLS dialFunc // nil: TLS is ours
	engines engines
	pool    *connPool
	metrics *metrics
	name    string
	count   counters
	tallies tallies
	lessons lessons
	names   *names // nil: nothing is looked up again
	nearby  neighbors
	spans   *spans      // nil: none
	journal *journal    // nil: none
	compare *comparison // nil: none

	handshakes handshakes
	offers     offers

	closePolicy ClosePolicy // resolved
	maxAge      time.Duration
	maxRequests int // on one connection; zero or negative: no limit
	farewells   farewells

	proxy                 func(*http.Request) (*url.URL, error)
	partition             func(*http.Request) string
	protocols             http.Protocols
	tls                   tlsConfigs
	sessions              *sessions // nil: TLS keeps its own, or none
	handshakeTimeout      time.Duration
	singleUse             bool // the template's DisableKeepAlives
	maxHeaderBytes        int64
	proxyConnectHeader    http.Header
	getProxyConnectHeader func(ctx context.Context, proxyURL *url.URL, target string) (http.Header, error)
	onProxyConnect        func(ctx context.Context, proxyURL *url.URL, connectReq *http.Request, connectRes *http.Response) error

	refusing atomic.Bool   // Close or Shutdown was called
	closing  atomic.Bool   // Close was called
	closed   chan struct{} // closed by Close
	once     sync.Once     // guards closed
}

var (
	_ http.RoundTripper                   = (*Transport)(nil)
	_ interface{ CloseIdleConnections() } = (*Transport)(nil) // what http.Client asks for
)

// New makes a Transport. A Config that contradicts itself is refused with a
// [*ConfigError], or dialer's error, that names the field.
func New(cfg Config) (*Transport, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	tmpl := cfg.Template
	if tmpl == nil {
		tmpl = defaultTemplate()
	}
	// Clone first: it makes net/http settle which protocols tmpl speaks, which
	// it writes down in TLSNextProto and the TLS config's NextProtos.
	clone := tmpl.Clone()
	t := &Transport{
		template:              tmpl,
		proxy:                 clone.Proxy,
		partition:             cfg.Partition,
		protocols:             effectiveProtocols(tmpl),
		tls:                   newTLSConfigs(clone),
		handshakeTimeout:      clone.TLSHandshakeTimeout,
		singleUse:             clone.DisableKeepAlives,
		maxHeaderBytes:        clone.MaxResponseHeaderBytes,
		proxyConnectHeader:    clone.ProxyConnectHeader,
		getProxyConnectHeader: clone.GetProxyConnectHeader,
		onProxyConnect:        clone.OnProxyConnectResponse,
		engines:               newEngines(clone),
		closePolicy:           cfg.ClosePolicy.resolve(),
		maxAge:                max(cfg.MaxConnAge, 0),
		maxRequests:           cfg.MaxRequestsPerConn,
		nearby:                newNeighbors(),
		journal:               newJournal(cfg.Logger),
		compare:               newComparison(cfg.CompareDefault),
		closed:                make(chan struct{}),
	}
	t.sessions = newSessions(t.tls.any)
	if t.maxHeaderBytes <= 0 {
		t.maxHeaderBytes = 10 << 20 // net/http's
	}
	t.dialTCP, t.dialTLS = dialFuncs(&cfg, tmpl)
	t.names = namesFor(&cfg, tmpl)
	if err := t.openPool(&cfg, cfg.limits(tmpl)); err != nil {
		return nil, err
	}
	if t.name = cfg.Name; t.name == "" {
		t.name = "default"
	}
	m, err := newMetrics(t, t.name, &cfg)
	if err != nil {
		t.pool.Close()
		return nil, err
	}
	t.metrics, t.spans = m, newSpans(cfg.TracerProvider, m.name)
	return t, nil
}

// effectiveProtocols is what a Transport that has been set up speaks.
func effectiveProtocols(tmpl *http.Transport) (p http.Protocols) {
	if tmpl.Protocols != nil {
		return *tmpl.Protocols
	}
	p.SetHTTP1(true)
	p.SetHTTP2(tmpl.TLSNextProto["h2"] != nil)
	return p
}

func (t *Transport) openPool(cfg *Config, l limits) (err error) {
	t.pool, err = pool.New(pool.Config[origin, *conn]{
		Dial:             t.dial,
		Close:            (*conn).close,
		MaxPerKey:        l.perHost,
		MaxTotal:         l.total,
		MaxIdlePerKey:    l.idlePerHost,
		MaxIdle:          l.idle,
		MinPerKey:        cfg.MinConnsPerHost,
		MaxDialsPerKey:   l.dialsPerHost,
		MaxDials:         cfg.MaxDials,
		SlowDial:         slowDial,
		FailsAll:         failsAll,
		Scarce:           scarce,
		MaxWaiters:       cfg.MaxWaiters,
		MaxWaitersPerKey: cfg.MaxWaitersPerHost,
		WaitTimeout:      cfg.WaitTimeout,
		IdleWindow:       cfg.IdleWindow,
		IdleTimeout:      l.idleTimeout,
		MaxAge:           l.age,
		MaxLeases:        cfg.MaxRequestsPerConn,
		DialAlone:        t.mayMultiplex,
	})
	return err
}

// mayMultiplex reports whether one connection may turn out to serve everybody.
func (t *Transport) mayMultiplex(o origin) bool {
	if o.scheme == "https" {
		return t.protocols.HTTP2() && !o.http1
	}
	return t.protocols.UnencryptedHTTP2() && !t.protocols.HTTP1()
}

// RoundTrip sends one request and returns its response, as [http.RoundTripper]
// and [http.Transport.RoundTrip] describe.
//
// It waits for a connection, of which the most recently used is taken, or the
// first that comes free or is dialed; requests for one origin are served in the
// order of their arrival. It returns early when the request's context or Cancel
// channel ends (a dial that it caused goes on, for others), or with [ErrClosed].
// A request whose connection died before a response is sent again if it
// provably was not acted on or may be sent twice; one that may have been sent,
// and may not be sent twice, fails with a [*MaybeSentError].
//
// The connection is free again when the response's body has been read to its
// end or closed. A body that is closed early is read on for up to 256 KiB and
// 50 ms, so that the connection is not lost.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL == nil {
		closeBody(req)
		return nil, errors.New("http: nil Request.URL")
	}
	if req.Header == nil {
		closeBody(req)
		return nil, errors.New("http: nil Request.Header")
	}
	if req.URL.Scheme != "http" && req.URL.Scheme != "https" {
		if t.refusing.Load() {
			closeBody(req)
			return nil, ErrClosed
		}
		return t.template.RoundTrip(req) // RegisterProtocol's, or its error
	}
	if err := checkRequest(req); err != nil {
		closeBody(req)
		return nil, err
	}
	t.count.requests.Add(1)
	x := t.newExchange(req)
	resp, err := x.run()
	x.guard.end()
	if err != nil {
		if x.compared != nil {
			x.compared.fail(err, x.canceled() != nil)
		}
		t.count.failed.Add(1)
		x.body.settle(true)
		x.over()
		return nil, err
	}
	return resp, nil
}

// Warm opens connections to the origin of the URL, which a GET of it would use,
// until n are open, idle or not, as far as the limits allow. It returns when they
// stand (over HTTP/2, when the peer's settings are here, and one may be enough for
// many requests), with the first error of a dial, with ctx's cause when ctx ends,
// and with [ErrClosed] after Close or Shutdown. The connections are kept as any
// other idle ones. n of zero or less opens none.
func (t *Transport) Warm(ctx context.Context, rawURL string, n int) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, rawURL, nil)
	if err != nil {
		return err
	}
	if s := req.URL.Scheme; s != "http" && s != "https" || req.URL.Host == "" {
		return fmt.Errorf("transport: Warm: %q: want an http or https URL with a host", rawURL)
	}
	if t.refusing.Load() {
		return ErrClosed
	}
	o, err := t.originOf(req)
	if err != nil {
		return err
	}
	if err := t.pool.Warm(ctx, o, n); errors.Is(err, pool.ErrClosed) {
		return ErrClosed
	} else {
		return err
	}
}

// CloseIdleConnections closes the connections that are idle now, and those that
// fall idle before the next request. Those in use are not touched.
func (t *Transport) CloseIdleConnections() {
	t.offers.release()
	t.pool.CloseIdle()
	t.compare.closeIdle()
}

// Close closes every connection at once and interrupts the exchanges on them,
// which fail with [ErrClosed], as do waiting and later requests. Connections
// handed out by an upgrade (101) are their receivers' and stay. The metrics are
// unregistered. Close waits until dials in progress have ended, for a second at
// most: what a dial brings that does not heed its context is closed when it
// comes. Closing twice is allowed. The error is always nil.
func (t *Transport) Close() error {
	t.refusing.Store(true)
	t.closing.Store(true)
	t.once.Do(func() { close(t.closed) })
	t.stopWaiting()
	err := t.pool.Close()
	t.names.close()
	t.farewells.cut()
	t.metrics.close()
	return err
}

// Shutdown refuses new requests with [ErrClosed], lets running and waiting ones
// finish, response bodies included, and closes each connection after its last. A
// request that would have to be sent again, on another connection, fails.
// When everything has ended it unregisters the metrics and returns nil. When
// ctx ends first it returns ctx's cause; what runs goes on, and Close ends it.
func (t *Transport) Shutdown(ctx context.Context) error {
	t.refusing.Store(true)
	t.stopWaiting() // there are no requests to come
	if err := t.pool.Shutdown(ctx); err != nil {
		return err
	}
	t.names.close()
	t.farewells.cut()
	t.metrics.close()
	return nil
}

// stopWaiting lets go of the connections that wait for requests with
// credentials.
func (t *Transport) stopWaiting() {
	t.handshakes.close()
	t.offers.close()
}
