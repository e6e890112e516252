package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"syscall"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/internal/dialfail"
	"github.com/stayopen-go/stayopen/pool"
)

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// dialFuncs picks who dials. See Config.Dialer for the order.
func dialFuncs(cfg *Config, tmpl *http.Transport) (tcp, tls dialFunc) {
	own := ownDialer(cfg, tmpl)
	switch {
	case own != nil:
		tcp = own.DialContext
	case tmpl.DialContext != nil:
		tcp = refuseNil("DialContext hook", tmpl.DialContext)
	default:
		tcp = refuseNil("Dial hook", withoutContext(tmpl.Dial))
	}
	switch {
	case tmpl.DialTLSContext != nil:
		tls = refuseNil("DialTLS or DialTLSContext", tmpl.DialTLSContext)
	case tmpl.DialTLS != nil:
		tls = refuseNil("DialTLS or DialTLSContext", withoutContext(tmpl.DialTLS))
	}
	return tcp, tls
}

// ownDialer is the Dialer that dials TCP, nil if the template's functions do.
func ownDialer(cfg *Config, tmpl *http.Transport) *dialer.Dialer {
	switch {
	case cfg.Dialer != nil:
		return cfg.Dialer
	case tmpl.DialContext != nil || tmpl.Dial != nil:
		return nil
	case cfg.Template == nil:
		return &dialer.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}
	}
	return new(dialer.Dialer)
}

func withoutContext(dial func(network, addr string) (net.Conn, error)) dialFunc {
	return func(_ context.Context, network, addr string) (net.Conn, error) { return dial(network, addr) }
}

func refuseNil(name string, dial dialFunc) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if c == nil && err == nil {
			err = fmt.Errorf("net/http: Transport.%s returned (nil, nil)", name)
		}
		return c, err
	}
}

// hop is a connection on its way to becoming a wire: first TCP to the proxy or
// the target, then through the proxy, then TLS, each step over the one before.
type hop struct {
	t       *Transport
	o       origin
	tally   *tally
	conn    net.Conn             // the outermost so far
	tcp     *dialer.Conn         // the innermost; nil if unknown
	seen    net.Conn             // what GotConnInfo will show
	owns    bool                 // closing conn closes tcp
	tls     *tls.ConnectionState // of the outermost TLS
	why     pool.Reason          // why it is opened
	because OpenReason           // the same, once it stands
	span    *dialSpan            // nil: none
	step    string               // of package dialfail, that is under way; empty before TCP stands
}

// connect makes the finished connection for o; on an error the hop tells how far
// it came. Once TCP stands, it is counted
// as opened, and as closed if a later step fails.
func (t *Transport) connect(ctx context.Context, o origin, tally *tally, why pool.Reason, span *dialSpan) (h *hop, err error) {
	h = &hop{t: t, o: o, tally: tally, why: why, span: span}
	defer func() {
		if err != nil {
			t.count.failedDials.count(h.step, err)
		}
	}()
	proxy := o.proxyURL()
	if err := h.dialFirst(ctx, proxy); err != nil {
		if proxy != nil {
			err = &net.OpError{Op: "proxyconnect", Net: "tcp", Err: err}
		}
		return h, err
	}
	if err := h.through(ctx, proxy); err != nil {
		h.giveUp()
		return h, err
	}
	return h, nil
}

// dialFirst connects to the first hop, and speaks TLS to it if it wants that.
func (h *hop) dialFirst(ctx context.Context, proxy *url.URL) error {
	scheme := h.o.scheme
	if proxy != nil {
		if scheme = proxy.Scheme; scheme == "" {
			scheme = "http"
		}
		switch scheme {
		case "http", "https", "socks5", "socks5h":
		default:
			return fmt.Errorf("transport: proxy scheme %q is not supported; use http, https, socks5 or socks5h", scheme)
		}
	}
	addr := h.o.firstHop()
	if scheme == "https" && h.t.dialTLS != nil {
		return h.dialForeignTLS(ctx, addr)
	}
	c, err := h.t.dialTCP(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	h.began(c)
	if scheme != "https" {
		return nil
	}
	host, _, err := net.SplitHostPort(addr)
	if err == nil {
		err = h.startTLS(ctx, addr, host, h.http1Only() || proxy != nil)
	}
	if err != nil {
		h.giveUp()
	}
	return err
}

// http1Only reports whether TLS may offer nothing but HTTP/1.1.
func (h *hop) http1Only() bool { return h.o.http1 }

// began takes a connection that a dial function returned.
func (h *hop) began(c net.Conn) {
	h.because = h.reason()
	h.t.count.opened[h.because.index()].Add(1)
	h.t.tallies.hold(h.tally)
	h.tally.opened.Add(1)
	h.conn, h.seen, h.owns = c, c, true
	switch c := c.(type) {
	case *dialer.Conn:
		h.tcp = c
	case *net.TCPConn:
		h.tcp = dialer.Wrap(c)
		h.conn = h.tcp
	}
}

// reason is why the connection, which stands, was opened.
func (h *hop) reason() OpenReason {
	if why := openReason(h.why); why != OpenFirst {
		return why
	}
	return h.t.nearby.opened(h.o)
}

// dialForeignTLS lets the template's DialTLSContext connect and shake hands.
func (h *hop) dialForeignTLS(ctx context.Context, addr string) error {
	c, err := h.t.dialTLS(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	h.began(c)
	tc, ok := c.(*tls.Conn)
	if !ok {
		return nil // HTTP/1.1, whatever it is
	}
	switch inner := tc.NetConn().(type) {
	case *dialer.Conn:
		h.tcp = inner
	case *net.TCPConn:
		// Only looked at: crypto/tls closes it without us.
		h.tcp, h.owns = dialer.Wrap(inner), false
	}
	if err := h.handshake(ctx, tc, 0); err != nil {
		h.giveUp()
		return err
	}
	return nil
}

// startTLS speaks TLS over what there is, as a client of host, which is at addr.
func (h *hop) startTLS(ctx context.Context, addr, host string, http1 bool) error {
	cfg := h.t.tls.any
	if http1 {
		cfg = h.t.tls.http1
	}
	cfg = cfg.Clone()
	if cfg.ServerName == "" {
		cfg.ServerName = host
	}
	if h.t.sessions != nil {
		cfg.ClientSessionCache = h.t.sessions.of(h.o, addr)
	}
	tc := tls.Client(h.conn, cfg)
	if err := h.handshake(ctx, tc, h.t.handshakeTimeout); err != nil {
		return err
	}
	h.conn, h.seen = tc, tc
	return nil
}

func (h *hop) handshake(ctx context.Context, tc *tls.Conn, timeout time.Duration) error {
	h.step = dialfail.TLS
	h.span.begin("stayopen.tls", "")
	trace := httptrace.ContextClientTrace(ctx)
	if trace != nil && trace.TLSHandshakeStart != nil {
		trace.TLSHandshakeStart()
	}
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, timeout, handshakeTimeoutError{})
		defer cancel()
	}
	err := h.shake(ctx, tc)
	if err != nil && context.Cause(ctx) == (handshakeTimeoutError{}) {
		err = handshakeTimeoutError{}
	}
	var state tls.ConnectionState
	if err == nil {
		state = tc.ConnectionState()
		h.tls = &state
		h.t.count.handshake(state.DidResume)
	}
	h.span.end("stayopen.tls", err)
	if trace != nil && trace.TLSHandshakeDone != nil {
		trace.TLSHandshakeDone(state, err)
	}
	return err
}

// shake has crypto/tls shake hands. When ctx ends crypto/tls closes the
// connection, which would be by FIN: it is reset before.
func (h *hop) shake(ctx context.Context, tc *tls.Conn) error {
	if h.tcp == nil || !h.owns {
		return tc.HandshakeContext(ctx)
	}
	until, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	stop := context.AfterFunc(ctx, func() {
		h.tcp.Reset()
		end()
	})
	defer stop()
	err := tc.HandshakeContext(until)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// giveUp closes and counts a connection that was opened in vain.
func (h *hop) giveUp() {
	w := h.wire(func(r dialer.CloseRecord) {
		h.t.count.closed(r, reasonSetup)
		h.t.tallies.closed(h.tally, r)
	})
	w.Close()
}

func (h *hop) wire(onClose func(dialer.CloseRecord)) *wire {
	return &wire{Conn: h.conn, given: h.seen, tcp: h.tcp, owns: h.owns, tls: h.tls, farewells: &h.t.farewells, onClose: onClose}
}

// http2 reports whether HTTP/2 is spoken on the finished connection.
func (h *hop) http2() bool {
	if h.tls != nil {
		return h.t.protocols.HTTP2() && h.tls.NegotiatedProtocol == "h2"
	}
	return h.t.protocols.UnencryptedHTTP2() && !h.t.protocols.HTTP1()
}

// slowDial is how long a dial, TLS and the proxy included, may hold others back:
// package net's time before it tries another address (RFC 6555).
const slowDial = 300 * time.Millisecond

// failsAll reports whether err is of the network or the peer: then every other
// dial to the same origin would meet it. What a user's function says may be about
// one request alone.
func failsAll(err error) bool {
	var (
		op     *net.OpError
		dns    *net.DNSError
		cert   *tls.CertificateVerificationError
		record tls.RecordHeaderError
		alert  tls.AlertError
	)
	return errors.As(err, &op) || errors.As(err, &dns) || errors.As(err, &cert) ||
		errors.As(err, &record) || errors.As(err, &alert) || errors.Is(err, io.EOF)
}

// scarce reports whether a dial failed for want of what idle connections hold:
// descriptors, or local ports. Of somebody else's dial function it is not known
// which of its EADDRNOTAVAILs means ports.
func scarce(err error) bool {
	return errors.Is(err, dialer.ErrFilesExhausted) || errors.Is(err, dialer.ErrPortsExhausted) ||
		errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}
