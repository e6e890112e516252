package transport

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// maxRefusals bounds how often an HTTP/2 server may refuse one request. Number
// and pauses are net/http's.
const maxRefusals = 7

// pause waits before an HTTP/2 request goes to a server that has refused it
// more than once: 1 s, 2 s, 4 s and so on.
func (x *exchange) pause(refusals int) error {
	if refusals == 0 {
		return nil
	}
	d := time.Second << (refusals - 1)
	timer := time.NewTimer(d + rand.N(d/10))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-x.ctx.Done():
		return x.canceled()
	case <-x.t.closed:
		return ErrClosed
	}
}

// refused reports whether it was the server that would not have the request,
// over HTTP/2. Otherwise a connection that had served before was lost, and the
// retry, which uses one up in any case, needs neither a pause nor a bound.
func (a *attempt) refused(err error) bool {
	if !a.conn.http2 {
		return false
	}
	_, reset := streamCode(err)
	return reset || !a.served
}

// mayRetry reports whether a failed attempt may be followed by another, after
// so many refusals. It may if the request provably was not acted on, or may be
// sent twice, and the connection is to blame, not the request.
func (a *attempt) mayRetry(err error, refusals int) bool {
	x, w := a.x, a.conn.wire
	if x.body.readErr() != nil || x.t.closing.Load() {
		return false
	}
	if a.conn.http2 {
		return (refusals < maxRefusals || !a.refused(err)) && a.mayRetryHTTP2(err)
	}
	if a.fresh || !w.broke.Load() && !closedIdle(err) {
		// A new connection had no time to go stale: the server does not like
		// the request, and would not like it again.
		return false
	}
	if w.written.Load() == a.written {
		return x.body.canRewind()
	}
	return replayable(x.req)
}

func (a *attempt) mayRetryHTTP2(err error) bool {
	if unsentOverHTTP2(err) {
		// A new connection that was dead before anything was sent on it is
		// no accident that another attempt would mend.
		return a.x.body.canRewind() && !(a.unproven() && neverEstablished(err))
	}
	if !replayable(a.x.req) {
		return false
	}
	if code, ok := streamCode(err); ok {
		return code == protocolError && resetByPeer(err) // golang/go#42777
	}
	return !a.unproven() && (a.conn.wire.broke.Load() || lostPing(err))
}

// unproven reports whether the connection was new and has not served anybody. If
// such a one is lost, the server may well lose the next one too.
func (a *attempt) unproven() bool { return a.fresh && !a.conn.served.Load() }

// final is the error for the caller.
func (a *attempt) final(err error) error {
	x, w := a.x, a.conn.wire
	err = plain(err)
	switch {
	case x.t.closing.Load():
		return fmt.Errorf("%w: %w", ErrClosed, err)
	case !w.broke.Load() && !closedIdle(err) && !lostPing(err) || x.body.readErr() != nil || replayable(x.req):
		return err
	case a.conn.http2:
		if _, reset := streamCode(err); reset || unsentOverHTTP2(err) {
			return err
		}
		return &MaybeSentError{err}
	case w.written.Load() == a.written:
		return err
	}
	return &MaybeSentError{err}
}
