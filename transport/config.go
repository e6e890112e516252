package transport

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/stayopen-go/stayopen/dialer"
)

// Config says how a [Transport] pools, dials and reports. It is read once, by
// [New]. The zero Config is useful.
//
// What concerns the protocol (TLS, proxies, HTTP/2, header timeouts,
// compression) is set on Template, as everybody knows it from net/http.
//
// A limit of zero means what the Template says, where it has that limit, and
// otherwise the default that its comment gives; a negative one means no limit.
type Config struct {
	// Name tells this transport's figures from those of others in the same
	// process: it is the attribute stayopen.transport on every metric.
	// Empty means "default".
	Name string

	// Template says how to speak HTTP. It is copied by New, so later changes
	// have no effect, with one exception: schemes given to its
	// RegisterProtocol, also later ones, are sent to it (http and https always
	// stay here).
	//
	// Nil means what net/http documents for its DefaultTransport (proxies from
	// the environment, HTTP/2, 90 s idle timeout, 10 s for a TLS handshake, 1 s
	// for 100-continue), with two differences: HTTP/2 connections that are
	// silent for 30 s are pinged, which finds a dead peer in 45 s, and there is no
	// cap on idle connections. A Template that is given has to ask for pings itself,
	// in HTTP2: http.DefaultTransport and its clones do not. See the package's
	// documentation.
	Template *http.Transport

	// Dialer opens the TCP connections. If it is set, the Template's
	// DialContext and Dial are not called; a DialTLSContext or DialTLS of the
	// Template still dials https, since it makes the TLS connection as well.
	//
	// Nil means: the Template's DialContext or Dial if it has one (every Clone
	// of http.DefaultTransport has), and what they return is wrapped, so that
	// counting and closing work, but source addresses and port ranges do not
	// apply; otherwise a zero dialer.Dialer, or with a nil Template one with
	// 30 s for Timeout and KeepAlive.
	Dialer *dialer.Dialer

	// Partition keeps tenants apart: requests for which it returns different
	// values never share a connection, nor a TLS session. Return whatever the
	// peer could take the connection for: the user on whose behalf the request
	// is made, say. All limits per host, such as MaxConnsPerHost, are then
	// limits per host and partition.
	//
	// It is called once for each attempt, so a request that is sent again asks
	// again; by the goroutine that called RoundTrip, so by several at once. It
	// must not change the request or read its body. The empty string is the
	// common partition, and what a nil Partition means.
	//
	// A partition's requests may also share what they authenticated with NTLM
	// or Negotiate, which are about the connection; see the package's
	// documentation.
	Partition func(*http.Request) string

	// MeterProvider receives the metrics. Nil means OpenTelemetry's global
	// provider, which drops them until the program installs one.
	MeterProvider metric.MeterProvider

	// TracerProvider receives a span for each wait and each dial, as the package's
	// documentation describes. Nil: there are none.
	TracerProvider trace.TracerProvider

	// Logger is told, at the level Debug, of connections that are opened and
	// closed, of dials that fail, and of requests refused under MaxWaiters,
	// MaxWaitersPerHost and WaitTimeout. Credentials, paths, queries, partitions
	// and sticky keys are left out. Its handler runs in a goroutine of its own, so
	// a record may be written shortly after the event whose time it has; one that
	// is more than 1,024 records behind misses some, and is told how many. Nil:
	// nothing is logged.
	Logger *slog.Logger

	// CompareDefault runs a model of http.DefaultTransport's pool alongside, for
	// Stats.ClosesAvoidedOverDefault. It costs a request about 0.4 µs and one
	// allocation of 200 bytes, which is kept for a second or more.
	CompareDefault bool

	// SchemeAttribute adds url.scheme to the attributes of the metrics by host.
	SchemeAttribute bool

	// MaxConnsPerHost limits the connections per origin: being dialed, in use
	// and idle. Requests above it wait. Zero: the Template's.
	MaxConnsPerHost int

	// MaxConns limits the connections of the whole transport. At the limit an
	// idle connection of another origin is closed to make room; with none
	// idle, requests wait, and the next connection whose exchange ends goes to
	// whoever waits longest. Zero or negative: no limit.
	MaxConns int

	// MaxIdleConnsPerHost limits the idle connections per origin. Zero: the
	// Template's if that is not zero (negative there: none are kept), else no
	// limit; net/http's default of 2 does not apply.
	MaxIdleConnsPerHost int

	// MaxIdleConns limits the idle connections of the whole transport. Zero:
	// the Template's.
	MaxIdleConns int

	// MaxDialsPerHost limits how many connections to one origin are being
	// dialed at the same time; the other requests wait for the first
	// connection that comes free or is dialed. A dial that takes longer than
	// 300 ms, TLS and proxy included, counts no more, so that one that hangs
	// holds nobody up. Zero: 32.
	MaxDialsPerHost int

	// MaxDials limits how many connections are being dialed at the same time in
	// all, in the same way. Zero: 256.
	MaxDials int

	// MinConnsPerHost is how many connections an origin keeps open, in use or
	// idle, as far as the limits allow, while it is in use: until ten minutes, or
	// IdleConnTimeout if that is less, after its last request. See also
	// [Transport.Warm]. Zero or negative: none.
	MinConnsPerHost int

	// IdleWindow sizes what is idle by demand. An origin keeps as many
	// connections as it had in use at once in the current window or the two
	// before, and two in any case; what is idle beyond that is closed little by
	// little, half of it within a window. Zero: 10 s. Negative: whatever the
	// demand, connections stay until another limit ends them.
	IdleWindow time.Duration

	// MaxWaiters and MaxWaitersPerHost limit how many requests wait for a
	// connection, in all and per origin. One more fails with a
	// *pool.QueueFullError. Zero or negative: no limit.
	MaxWaiters, MaxWaitersPerHost int

	// WaitTimeout is how long a request waits for a connection at most, dials
	// included; then it fails with a *pool.WaitError, which is a timeout. Zero or
	// negative: until its context ends. Either way a request whose deadline is
	// nearer than any exchange with its origin was short is passed over when a
	// connection comes free that another one could use in time.
	WaitTimeout time.Duration

	// MaxRequestsPerConn retires a connection after so many requests. On HTTP/1 the
	// last of them says Connection: close, so that it is the peer that closes,
	// except where MaxConnAge's would not. Zero or negative: no limit but what the
	// peer says (Keep-Alive: max=) or was seen to allow, to which the same applies.
	// What was only seen is put to the test by one connection in 20, which then stays
	// open without being used or, if MaxConns or MaxConnsPerHost had no place for
	// that the last time, serves one more request, of those that may be sent twice.
	MaxRequestsPerConn int

	// IdleConnTimeout closes a connection that has been idle for so long. A peer
	// that says Keep-Alive: timeout=, or that was seen to close idle connections
	// after some other time, is not kept waiting that long.
	// Zero: the Template's; negative: never.
	IdleConnTimeout time.Duration

	// MaxConnAge retires a connection so long after it was opened, less up to
	// a tenth of it, chosen at random for each connection, so that they do not
	// all end at once. Running exchanges finish first. An HTTP/1 connection is
	// retired up to another tenth sooner if a request comes then: that request
	// says Connection: close, so that it is the peer that closes. Requests that
	// have a Connection header, CONNECT, and those that authenticate by NTLM or
	// Negotiate do not. Zero or negative: never.
	MaxConnAge time.Duration

	// DNSInterval is how often the host of an origin is looked up again while its
	// connections are being used: once in that time, give or take a tenth, and not
	// at all while none is used a second time. When an address was missing from
	// every answer for 2 minutes and 4 lookups, its connections are retired, spread
	// over an interval: those on HTTP/1 say Connection: close with their next
	// request, as with MaxConnAge, and are closed half an interval later if none
	// came. Running exchanges finish first.
	//
	// Where answers show a host's addresses in turn, that time is multiplied by the
	// number of turns, and is at least twice as long as any address that came back
	// was missing for; with more than 256 addresses nothing is retired. An
	// answer that is an error says nothing, nor does one that the name has no
	// address.
	//
	// Only connections that the Transport itself dials to the target are
	// meant, by Config.Dialer's Resolver: not those to or through a proxy, nor to an
	// address in the URL, nor those of the Template's dial functions. Zero: 30 s.
	// Negative: nothing is looked up again.
	DNSInterval time.Duration

	// ClosePolicy says how connections are ended. The zero value waits up to a
	// second, at nobody's expense, for peers to close first where they have a
	// reason to, and resets idle connections when local ports are short.
	ClosePolicy ClosePolicy
}

// limits are a Config's with the Template's filled in, in package pool's terms
// (zero: no limit, negative: none).
type limits struct {
	perHost, total, idlePerHost, idle, dialsPerHost int
	idleTimeout, age                                time.Duration
}

// ConfigError reports a Config that New refused.
type ConfigError struct {
	Field string // the field of Config, such as "MaxConns" or "Template.Protocols"
	Text  string // what is wrong, and what is allowed
}

// Error names the field and says what it may hold.
func (e *ConfigError) Error() string {
	return "transport: Config." + e.Field + ": " + e.Text
}

func (cfg *Config) check() error {
	if cfg.MaxConns > 0 && cfg.MaxConnsPerHost > cfg.MaxConns {
		return &ConfigError{"MaxConnsPerHost", fmt.Sprintf("%d for one host is more than MaxConns allows for all (%d)", cfg.MaxConnsPerHost, cfg.MaxConns)}
	}
	if cfg.MaxIdleConns > 0 && cfg.MaxIdleConnsPerHost > cfg.MaxIdleConns {
		return &ConfigError{"MaxIdleConnsPerHost", fmt.Sprintf("%d for one host is more than MaxIdleConns allows for all (%d)", cfg.MaxIdleConnsPerHost, cfg.MaxIdleConns)}
	}
	if cfg.MaxConns > 0 && cfg.MaxIdleConns > cfg.MaxConns {
		return &ConfigError{"MaxIdleConns", fmt.Sprintf("%d idle connections are more than MaxConns allows in all (%d)", cfg.MaxIdleConns, cfg.MaxConns)}
	}
	if cfg.MaxConnsPerHost > 0 && cfg.MaxIdleConnsPerHost > cfg.MaxConnsPerHost {
		return &ConfigError{"MaxIdleConnsPerHost", fmt.Sprintf("%d idle connections are more than MaxConnsPerHost allows in all (%d)", cfg.MaxIdleConnsPerHost, cfg.MaxConnsPerHost)}
	}
	if cfg.MaxConnsPerHost > 0 && cfg.MinConnsPerHost > cfg.MaxConnsPerHost {
		return &ConfigError{"MinConnsPerHost", fmt.Sprintf("%d connections are more than MaxConnsPerHost allows (%d)", cfg.MinConnsPerHost, cfg.MaxConnsPerHost)}
	}
	if cfg.MaxWaiters > 0 && cfg.MaxWaitersPerHost > cfg.MaxWaiters {
		return &ConfigError{"MaxWaitersPerHost", fmt.Sprintf("%d waiting for one host are more than MaxWaiters allows for all (%d)", cfg.MaxWaitersPerHost, cfg.MaxWaiters)}
	}
	if r := cfg.ClosePolicy.ResetIdle; r > ResetNever {
		return &ConfigError{"ClosePolicy.ResetIdle", fmt.Sprintf("%d is none of ResetWhenShort, ResetAlways and ResetNever", r)}
	}
	if cfg.Dialer != nil {
		if err := cfg.Dialer.Validate(); err != nil {
			return fmt.Errorf("transport: Config.Dialer: %w", err)
		}
	}
	if cfg.Template == nil {
		return nil
	}
	return cfg.checkTemplate()
}

func (cfg *Config) checkTemplate() error {
	tmpl := cfg.Template
	if p := tmpl.Protocols; p != nil && !p.HTTP1() && !p.HTTP2() && !p.UnencryptedHTTP2() {
		return &ConfigError{"Template.Protocols", "no protocol is enabled; enable HTTP1, HTTP2 or UnencryptedHTTP2, or leave it nil"}
	}
	if tmpl.DisableKeepAlives {
		if cfg.MaxIdleConns > 0 || cfg.MaxIdleConnsPerHost > 0 || cfg.IdleConnTimeout > 0 || cfg.MaxConnAge > 0 {
			return &ConfigError{"Template.DisableKeepAlives", "no connection is kept, so MaxIdleConns, MaxIdleConnsPerHost, IdleConnTimeout and MaxConnAge must be left at zero"}
		}
	}
	for proto := range tmpl.TLSNextProto {
		switch proto {
		case "h2", "unencrypted_http2": // net/http adds these two by itself
		default:
			return &ConfigError{"Template.TLSNextProto", fmt.Sprintf("%q is not supported; only HTTP/1.1 and HTTP/2 are spoken here", proto)}
		}
	}
	return nil
}

func (cfg *Config) limits(tmpl *http.Transport) limits {
	l := limits{
		perHost:      orTemplate(cfg.MaxConnsPerHost, tmpl.MaxConnsPerHost),
		total:        max(cfg.MaxConns, 0),
		idlePerHost:  orKept(cfg.MaxIdleConnsPerHost, tmpl.MaxIdleConnsPerHost),
		idle:         orTemplate(cfg.MaxIdleConns, tmpl.MaxIdleConns),
		dialsPerHost: cfg.MaxDialsPerHost,
		idleTimeout:  orTemplate(cfg.IdleConnTimeout, tmpl.IdleConnTimeout),
		age:          max(cfg.MaxConnAge, 0),
	}
	if tmpl.DisableKeepAlives {
		l.idlePerHost = -1
	}
	return l
}

// orTemplate resolves one limit: ours if set, else the template's, for which
// zero and negative mean no limit, as in net/http.
func orTemplate[T ~int | ~int64](ours, template T) T {
	if ours == 0 {
		ours = template
	}
	return max(ours, 0)
}

// orKept is orTemplate for MaxIdleConnsPerHost, whose negative values net/http
// takes for "keep none".
func orKept(ours, template int) int {
	if ours == 0 && template < 0 {
		return -1
	}
	return orTemplate(ours, template)
}

// defaultTemplate spells out what net/http documents for DefaultTransport.
// http.DefaultTransport itself is not consulted: programs wrap and replace it.
func defaultTemplate() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		ForceAttemptHTTP2:     true,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		// Without pings a dead HTTP/2 connection is noticed only by TCP's
		// retransmission timeout, some 15 minutes (golang/go#30702).
		HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
	}
}
