package transport

import (
	"math/rand/v2"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/pool"
)

// ClosePolicy says how connections are ended: who closes first, and with that,
// on whose host the TIME_WAIT stays that keeps a local port from being used for
// the same destination for a minute. The zero value is a good one.
//
// It is about connections that end in good order. Whatever it says, the
// connection of an HTTP/1 exchange that was canceled, abandoned or broken is
// reset, which leaves no TIME_WAIT, and the one that the peer has closed is just
// closed, which leaves none here either. It has no effect on connections that are
// not TCP as far as the Transport can tell, nor on those of the Template's
// DialTLSContext or DialTLS unless they are made of a [dialer.Conn].
type ClosePolicy struct {
	// PeerFirst is how long the peer may take to close first where it has a
	// reason to: an HTTP/1 exchange was the last one by Connection: close, the
	// peer has sent GOAWAY or a 408, or TLS's close_notify went out.
	// Nobody waits for that: the request is answered, its body at its end and
	// the connection's place in the pool free. Zero: 1 s. Negative: it is not
	// waited for.
	//
	// A connection that waits takes a file descriptor and a goroutine. Of these
	// the process has 256 at most; connections beyond that are closed at once,
	// as are all that wait and those still open when Close is called, and at the
	// end of Shutdown. Not on Windows.
	PeerFirst time.Duration

	// ResetIdle says when a connection of which nothing is to be expected any
	// more is closed by RST in place of a FIN: one that is idle, or on which the
	// peer has not closed within PeerFirst. The zero value is ResetWhenShort.
	ResetIdle ResetIdle
}

// ResetIdle says when idle connections are reset rather than closed: never if
// anything sent has not been acknowledged, or anything received not been read.
// The peer then reads an error instead of EOF, between two requests, and some
// servers write that to their log. Linux only: elsewhere it is always a FIN.
type ResetIdle uint8

const (
	// ResetWhenShort resets while local ports are short: when half of those that
	// the connection's source has for its destination are in use or in
	// TIME_WAIT, or when the kernel had none lately. That is known of
	// connections that dialer.Dialer.Sources gave a source; the others are
	// closed by FIN, but for those that make room for another, which are reset.
	ResetWhenShort ResetIdle = iota
	// ResetAlways resets.
	ResetAlways
	// ResetNever sends a FIN.
	ResetNever
)

const (
	defaultPeerFirst = time.Second
	// shortPorts is the share of ports in use from which on they are short. From
	// there on Linux before 6.8 takes some 30 times as long to find one.
	shortPorts = 0.5
)

func (p ClosePolicy) resolve() ClosePolicy {
	if p.PeerFirst == 0 {
		p.PeerFirst = defaultPeerFirst
	}
	p.PeerFirst = max(p.PeerFirst, 0)
	return p
}

// resets reports whether an idle connection is reset.
func (p ClosePolicy) resets(c *dialer.Conn) bool {
	if p.ResetIdle != ResetWhenShort {
		return p.ResetIdle == ResetAlways
	}
	b, ok := c.Budget()
	return ok && (b.Used() >= shortPorts || !b.ResumesAt.IsZero())
}

// closeMode is how c is closed if it is in good order. It may run under a
// ClientConn's mutex.
func (c *conn) closeMode() (m dialer.CloseMode) {
	why, policy := c.why(), c.t.closePolicy
	switch why {
	case reasonLast, reasonPeer, reasonGoAway:
		m.PeerFirst = policy.PeerFirst
	case reasonPrivate, reasonDNS, reason(pool.IdleTimeout), reason(pool.MaxAge), reason(pool.IdleLimit), reason(pool.MaxLeases), reason(pool.Surplus), reason(pool.CloseIdle):
		// A peer has no reason to close what is merely idle, unless TLS tells it.
		if c.told.Load() || c.wire.tls != nil {
			m.PeerFirst = policy.PeerFirst
		}
	case reason(pool.Evicted):
		// Somebody needs its descriptor or its port, at once.
		m.ResetIfClean = policy.ResetIdle != ResetNever
		return m
	case reason(pool.Closed):
		if c.cut.Load() {
			return m
		}
	default:
		return m
	}
	m.ResetIfClean = policy.resets(c.wire.tcp)
	if m.PeerFirst > 0 {
		c.because(why) // which is asked for once more when the wait is over
	}
	return m
}

// goodbye is from when on an exchange on a connection opened now is its last, so
// that it is the peer that closes. That is before the pool retires it, of which
// the peer would not know.
func (t *Transport) goodbye(now time.Time) time.Time {
	if t.maxAge <= 0 {
		return time.Time{}
	}
	early := t.maxAge - t.maxAge/10 // when the pool begins to
	return now.Add(early - rand.N(early/10+1))
}

// sayGoodbye decides whether the request asks for the connection to be closed.
// One that has something of its own to say about the connection, or is part of a
// handshake, is left alone.
func (a *attempt) sayGoodbye() {
	c, req := a.conn, a.x.req
	if c.http2 || req.Header["Connection"] != nil || req.Method == "CONNECT" || a.x.creds.scheme != 0 {
		return
	}
	switch {
	case a.lease.Last():
		a.goodbye = reason(pool.MaxLeases)
	case c.leaving.Load():
		a.goodbye = reasonDNS
	case !c.goodbye.IsZero() && !time.Now().Before(c.goodbye):
		a.goodbye = reason(pool.MaxAge)
	}
}

// last notes that both sides know of the connection's end.
func (a *attempt) last() {
	a.conn.told.Store(true)
	why := reasonLast
	if a.goodbye != "" {
		why = a.goodbye
	}
	a.conn.because(why)
}
