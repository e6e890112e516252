package main

import (
	"context"
	"errors"
	"log"
	"math"
	"net/http"
	"net/http/httputil"
	"strconv"
	"sync/atomic"
	"time"
)

// errCut is why requests end that take longer than the grace.
var errCut = errors.New("the proxy is stopping")

// proxy is the handler of the clients' requests.
type proxy struct {
	reverse  httputil.ReverseProxy
	log      *logger
	leaving  atomic.Bool // each connection's next answer is its last
	requests tally
}

// tally counts requests, and what became of them.
type tally struct {
	received, running, repeated atomic.Int64
	failed, gone, cut           atomic.Int64
	upgraded, upgradesCut       atomic.Int64
}

func newProxy(b *balancer, l *logger) *proxy {
	p := &proxy{log: l}
	p.reverse = httputil.ReverseProxy{
		Transport: b,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		},
		FlushInterval:  -1,
		ModifyResponse: modify,
		ErrorHandler:   p.fail,
		ErrorLog:       log.New(l.limited(), "", 0),
	}
	return p
}

// ServeHTTP passes a request on, and counts what comes of it.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f := new(flight)
	p.requests.received.Add(1)
	p.requests.running.Add(1)
	returned := false
	defer func() { p.land(f, r.Context(), returned) }()
	if p.leaving.Load() && r.Header.Get("Upgrade") == "" {
		w.Header().Set("Connection", "close")
	}
	if r.ContentLength != 0 {
		// An answer may begin before the body has ended. Without this the server
		// would then take the rest of the body for itself (golang/go#15527), and
		// without Close it would stumble over what nobody has read (golang/go#68560).
		http.NewResponseController(w).EnableFullDuplex()
		defer r.Body.Close()
	}
	p.reverse.ServeHTTP(w, f.within(r))
	returned = true
}

// land gives the upstream back and counts the outcome of a flight. One that has not
// returned has panicked, which is how ReverseProxy breaks a connection off.
func (p *proxy) land(f *flight, ctx context.Context, returned bool) {
	if f.release != nil {
		f.release()
	}
	n := &p.requests
	n.repeated.Add(int64(f.repeats))
	cut := context.Cause(ctx) == errCut
	switch {
	case f.upgraded && cut:
		n.upgradesCut.Add(1)
	case f.upgraded:
	case cut && (f.failed || !returned):
		n.cut.Add(1)
	case f.failed && (ctx.Err() != nil || f.body.failed()), !returned && ctx.Err() != nil:
		n.gone.Add(1)
	case f.failed || f.broke.Load():
		n.failed.Add(1)
	case !returned:
		n.gone.Add(1)
	}
	if f.upgraded {
		n.upgraded.Add(1)
	}
	n.running.Add(-1)
}

// modify notes what an upstream has answered, and takes out what is about itself.
func modify(resp *http.Response) error {
	f := flightOf(resp.Request)
	if resp.StatusCode == http.StatusSwitchingProtocols {
		f.upgraded = true // its body must stay what it is
		return nil
	}
	resp.Header.Del("Alt-Svc") // other addresses of the upstream's
	resp.Body = &answer{resp.Body, f}
	return nil
}

// fail answers a request that no upstream has answered.
func (p *proxy) fail(w http.ResponseWriter, r *http.Request, err error) {
	f := flightOf(r)
	f.failed = true
	status := http.StatusBadGateway
	var none *noneError
	switch {
	case context.Cause(r.Context()) == errCut:
		status = http.StatusServiceUnavailable
	case r.Context().Err() != nil:
		return // there is nobody to answer
	case f.body.failed():
		status = http.StatusBadRequest
	case errors.As(err, &none):
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", seconds(none.retryAfter))
	case isTimeout(err):
		status = http.StatusGatewayTimeout
	}
	p.log.errorf("%s %s: %v", r.Method, visible(r.URL.Path), err)
	if !f.upgraded { // else the connection is not the server's any more
		http.Error(w, "proxy: "+http.StatusText(status), status)
	}
}

// seconds is d in whole seconds, as Retry-After has it, at least 1.
func seconds(d time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil(d.Seconds()))))
}

// counts is what a tally says.
type counts struct {
	Requests int64 `json:"requests"` // that clients sent
	Running  int64 `json:"running"`
	// Failed got an answer of the proxy's own (502, 503, 504) or only a part of
	// the upstream's; Gone are those that the client did not wait for, or did not
	// send in full; Cut ended with the grace.
	Failed int64 `json:"failed"`
	Gone   int64 `json:"gone"`
	Cut    int64 `json:"cut"`
	// Repeated counts the times that a request went to another upstream.
	Repeated    int64 `json:"repeated"`
	Upgraded    int64 `json:"upgraded"`
	UpgradesCut int64 `json:"upgradesCut"`
}

func (t *tally) counts() counts {
	return counts{
		Running: t.running.Load(), Failed: t.failed.Load(), Gone: t.gone.Load(), Cut: t.cut.Load(), Repeated: t.repeated.Load(),
		Upgraded: t.upgraded.Load(), UpgradesCut: t.upgradesCut.Load(), Requests: t.received.Load(),
	}
}
