package netconn

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/stayopen-go/stayopen/pool"
)

// key is what connections are shared within.
type key struct{ network, addr string }

// Pool keeps net.Conns open and hands them out again. Its methods may be called
// from any goroutine. It runs nothing while it has no connection.
type Pool struct {
	connect func(ctx context.Context, network, addr string) (net.Conn, error)
	oneWay  bool
	pool    *pool.Pool[key, *wire]
	count   counters
}

// New makes a Pool. The error is for what a Config may forbid one day: it is nil.
func New(cfg Config) (*Pool, error) {
	p := &Pool{connect: cfg.Dial, oneWay: cfg.OneWay}
	if p.connect == nil {
		p.connect = (&net.Dialer{Timeout: 30 * time.Second}).DialContext
	}
	pc := cfg.forPool()
	pc.Dial = p.dial
	pc.Close = func(w *wire, why pool.Reason) { w.close(why) }
	var err error
	p.pool, err = pool.New(pc)
	return p, err
}

// DialContext returns a connection to addr, a *[Conn]: the idle one that was used
// last, if there is one and it is clean, or else, first come, first served, one
// that somebody gives back or one that is dialed, whichever comes first.
//
// The connection must be closed. ctx bounds the wait for it and nothing else: the
// connection outlives it, and so does the dial. When ctx ends before, the error
// is context.Cause(ctx). After Close or Shutdown it is pool.ErrClosed; otherwise
// that of Config.Dial, as it is, a *pool.WaitError or a *pool.QueueFullError.
func (p *Pool) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	for {
		l, err := p.pool.Get(ctx, key{network, addr})
		if err != nil {
			return nil, err
		}
		p.count.waited(l.Waited())
		w := l.Value()
		if l.Fresh() {
			return p.handOut(l), nil
		}
		why := w.lookAgain()
		if why == "" {
			return p.handOut(l), nil
		}
		w.drop(l, why)
	}
}

// Dial is DialContext without a context.
func (p *Pool) Dial(network, addr string) (net.Conn, error) {
	return p.DialContext(context.Background(), network, addr)
}

// Warm dials addr until n connections to it are open, in use or not, so that the
// callers of DialContext need not wait for a dial, login and TLS included. It
// returns nil when they stand, or as many as the limits of Config allow. What
// nobody waits for is idle then and kept as any other: if fewer are in use at once,
// the rest, but for two, is closed step by step after three times
// Config.IdleWindow. n of zero or less opens none.
//
// Its error is the first one of a dial, as Config.Dial returned it,
// context.Cause(ctx) when ctx ends first, and then the dials go on,
// context.Canceled after CloseIdleConnections, and pool.ErrClosed after Close or
// Shutdown.
func (p *Pool) Warm(ctx context.Context, network, addr string, n int) error {
	return p.pool.Warm(ctx, key{network, addr}, n)
}

// handOut makes the caller's Conn of a lease.
func (p *Pool) handOut(l *pool.Lease[key, *wire]) *Conn {
	w := l.Value()
	p.count.handedOut.Add(1)
	if w.uses > 0 {
		p.count.reused.Add(1)
	}
	w.uses++
	return &Conn{pool: p, lease: l, wire: w, reused: w.uses > 1}
}

// handshakeTimeout is net/http's.
const handshakeTimeout = 10 * time.Second

// dial is package pool's Dial.
func (p *Pool) dial(ctx context.Context, k key, _ *pool.Conn[key, *wire]) (*wire, int, error) {
	c, err := p.connect(ctx, k.network, k.addr)
	switch tc, ok := c.(*tls.Conn); {
	case err != nil:
	case c == nil:
		err = errors.New("netconn: Config.Dial returned neither a connection nor an error")
	case ok:
		err = shakeHands(ctx, tc)
	}
	if err != nil {
		p.count.failed.Add(1)
		return nil, 0, err
	}
	p.count.opened.Add(1)
	return newWire(c, &p.count), 1, nil
}

// shakeHands does nothing if Config.Dial has seen to that.
func shakeHands(ctx context.Context, tc *tls.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	err := tc.HandshakeContext(ctx)
	if err != nil {
		tc.Close()
	}
	return err
}

// CloseIdleConnections closes the connections that nobody uses now. Those in use
// are closed when they are given back, unless DialContext is called before. Dials
// that nobody waits for are cancelled.
func (p *Pool) CloseIdleConnections() { p.pool.CloseIdle() }

// Shutdown ends the pool without breaking anything off. DialContext fails from
// now on; calls of it that wait already are still served. Idle connections are
// closed, those in use when they are given back.
//
// It returns nil when all are closed, or context.Cause(ctx) when ctx ends first:
// what is in use then goes on, and Close ends it.
func (p *Pool) Shutdown(ctx context.Context) error { return p.pool.Shutdown(ctx) }

// Close ends the pool now. DialContext fails, for those that wait as well, and
// all connections are closed, also those in use: what their users read and write
// fails. It waits a second at most for dials that do not heed their context. A
// second call does nothing. The error is always nil.
func (p *Pool) Close() error { return p.pool.Close() }
