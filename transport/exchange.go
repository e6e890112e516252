package transport

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"

	"github.com/stayopen-go/stayopen/pool"
)

// exchange is one RoundTrip on its way: from waiting for a connection to the
// end of the response's body.
type exchange struct {
	t     *Transport
	req   *http.Request // the caller's, never changed
	body  *requestBody  // nil without a body
	trace *httptrace.ClientTrace
	guard *traceGuard

	compared *comparedRequest // nil without Config.CompareDefault

	creds   credentials // for a scheme that authenticates connections, if any
	resumed *handshake  // nil unless it is its next leg that is on its way

	// dialCtx is what a dial of ours gets the values of: ctx with the trace
	// behind the guard. Set with guard.
	dialCtx context.Context

	// ctx ends with the caller's context, the request's Cancel channel or the
	// exchange. It is not a child of the caller's: once the response body is
	// closed, what is left of it is drained whatever the caller cancels.
	ctx    context.Context
	cancel context.CancelCauseFunc // nil if nothing can end ctx
	stop   func() bool             // nil unless an AfterFunc watches the caller's context
	done   chan struct{}           // nil unless a goroutine watches it; closed by over
	once   sync.Once               // guards done

	// mu guards conn, and what is said to conn about its close on behalf of
	// this exchange. Nothing is called under it that waits.
	mu   sync.Mutex
	conn *conn // HTTP/1 connection in use, to be reset when the caller cancels
}

func (t *Transport) newExchange(req *http.Request) *exchange {
	x := &exchange{t: t, req: req, ctx: req.Context(), body: newRequestBody(req)}
	if t.protocols.HTTP1() {
		x.creds = credentialsOf(req.Header)
	}
	x.trace = httptrace.ContextClientTrace(x.ctx)
	if x.ctx.Done() != nil || req.Cancel != nil {
		x.follow(req.Context())
	}
	return x
}

// follow makes ctx end when the caller's context or Cancel channel does.
func (x *exchange) follow(caller context.Context) {
	x.ctx, x.cancel = context.WithCancelCause(context.WithoutCancel(caller))
	if x.req.Cancel == nil {
		x.stop = context.AfterFunc(caller, func() { x.abort(context.Cause(caller)) })
		return
	}
	// http.Client sets Cancel on every request with a Timeout, in addition to a
	// deadline. One goroutine watches both; it ends with the exchange.
	x.done = make(chan struct{})
	go func() {
		select {
		case <-x.req.Cancel:
			x.abort(errRequestCanceled)
		case <-caller.Done():
			x.abort(context.Cause(caller))
		case <-x.done:
		case <-x.t.closed:
		}
	}()
}

// abort cancels the exchange. The connection of an HTTP/1 one is lost with it:
// nobody wants what is still on its way, so it need not leave a TIME_WAIT.
func (x *exchange) abort(cause error) {
	x.spoil(reasonCanceled, true)
	x.cancel(cause)
}

// spoil says why the HTTP/1 connection in use is about to be closed, and whether
// by RST. One that the exchange has left may be somebody else's already.
func (x *exchange) spoil(why reason, reset bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.conn == nil {
		return
	}
	x.conn.because(why)
	if reset {
		x.conn.wire.reset.Store(true)
	}
}

// use notes the HTTP/1 connection that the exchange runs on.
func (x *exchange) use(c *conn) {
	c.busy.Store(true)
	c.life.works()
	x.mu.Lock()
	x.conn = c
	x.mu.Unlock()
}

// leave ends use. A cancellation that came too late to matter must not be held
// against a connection that goes on to others.
func (x *exchange) leave(sound bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.conn
	if x.conn = nil; c == nil {
		return
	}
	c.busy.Store(false)
	if sound {
		c.life.rests()
		c.wire.reset.Store(false)
		c.reason.Store(nil)
	}
}

// over ends the caller's influence on ctx: there is no response to cancel any
// more. ctx itself is left alone, since an HTTP/2 request's body may still be on
// its way when the response has ended; it holds on to nothing of the caller's.
func (x *exchange) over() {
	switch {
	case x.stop != nil:
		x.stop()
	case x.done != nil:
		x.once.Do(func() { close(x.done) })
	}
}

// canceled is why the caller does not want the response any more, or nil.
func (x *exchange) canceled() error {
	if x.cancel == nil {
		return nil
	}
	caller := x.req.Context()
	if x.ctx.Err() == nil && caller.Err() == nil {
		return nil
	}
	late := x.timedOut(caller)
	switch {
	case caller.Err() != nil:
		return context.Cause(caller)
	case late:
		return context.DeadlineExceeded
	}
	return context.Cause(x.ctx)
}

// timedOut reports whether a request's deadline has passed that has a Cancel
// channel as well. That is what http.Client makes of its Timeout: both end at
// the same moment, in either order, each by a timer that may be late. The error
// reads as it does with net/http's own transport only if it is the deadline's
// and the channel is closed, of which http.Client knows that it was the timeout.
func (x *exchange) timedOut(caller context.Context) bool {
	deadline, ok := caller.Deadline()
	if !ok || x.req.Cancel == nil || time.Now().Before(deadline) {
		return false
	}
	timer := time.NewTimer(100 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-x.req.Cancel:
	case <-timer.C: // it was not http.Client's
	}
	return true
}

// run sends the request until it has a response, or an error that another
// attempt would not mend.
func (x *exchange) run() (*http.Response, error) {
	for refusals := 0; ; {
		if err := x.canceled(); err != nil {
			return nil, err
		}
		a, err := x.begin()
		if err != nil {
			return nil, err
		}
		resp, err := a.do()
		if err == nil {
			return resp, nil
		}
		if err := a.canceled(); err != nil {
			return nil, err
		}
		if !a.mayRetry(err, refusals) {
			return nil, a.final(err)
		}
		if err := x.body.rewind(); err != nil {
			return nil, err
		}
		if a.refused(err) {
			if err := x.pause(refusals); err != nil {
				return nil, err
			}
			refusals++
		}
		x.t.count.retries.Add(1)
	}
}

// begin finds a connection for an attempt.
func (x *exchange) begin() (*attempt, error) {
	o, err := x.t.originOf(x.req)
	if err != nil {
		return nil, err
	}
	if x.compared == nil {
		x.compared = x.t.compare.begin(o)
	}
	if x.creds.scheme != 0 {
		o = x.t.privateOrigin(o, x.req, x.creds)
	}
	if x.trace != nil && x.trace.GetConn != nil {
		x.trace.GetConn(o.firstHop())
	}
	ctx := x.ctx
	if x.trace != nil {
		if x.guard == nil {
			ctx, x.guard = guardTrace(ctx)
			x.dialCtx = ctx
		}
		ctx = x.dialCtx
	}
	for {
		lease, err := x.get(ctx, o)
		if err != nil {
			return nil, x.noConnection(err)
		}
		if a := x.take(lease); a != nil {
			return a, nil
		}
	}
}

// wait gets a lease from the pool.
func (x *exchange) wait(ctx context.Context, o origin) (*connLease, error) {
	var since time.Time
	if x.t.spans != nil {
		since = time.Now()
	}
	lease, err := x.t.pool.Get(ctx, o)
	x.t.spans.waited(x.req.Context(), o, since, lease, err)
	if err != nil {
		x.t.journal.refused(o, err)
	}
	if err == nil && lease.Waited() > 0 {
		x.t.count.waited(lease.Waited())
		lease.Value().tally.waited(lease.Waited())
		x.t.metrics.waited(x.req.Context(), lease.Value(), lease.Waited())
	}
	return lease, err
}

func (x *exchange) noConnection(err error) error {
	if errors.Is(err, pool.ErrClosed) {
		return ErrClosed
	}
	cause := x.canceled()
	switch {
	case cause == errRequestCanceled:
		return errRequestCanceledConn
	case cause != nil:
		return cause
	}
	return err
}

// take reserves the leased slot on the connection itself. It returns nil if
// the connection turns out to be of no use; the lease has then ended.
func (x *exchange) take(lease *connLease) *attempt {
	c := lease.Value()
	fresh := c.fresh(lease)
	if !fresh {
		if why := c.wire.stale(c.http2); why != "" {
			lease.Retire(pool.Reason(why))
			return nil
		}
		if !c.life.mayServe(x.req) {
			lease.Retire(pool.MaxLeases)
			return nil
		}
	}
	// A fresh connection that is dead already is used all the same, so that
	// its error is seen.
	if err := c.cc.Reserve(); err != nil && !fresh {
		x.refused(lease, c)
		return nil
	}
	x.compared.began()
	a := &attempt{x: x, lease: lease, conn: c, fresh: fresh}
	a.reused, a.served = x.t.count.attempt(c)
	if a.reused {
		c.watch.use()
	}
	a.written = c.wire.written.Load()
	if !c.http2 {
		x.use(c)
	}
	a.gotConn()
	return a
}

// refused ends a lease whose slot the connection does not grant.
func (x *exchange) refused(lease *connLease, c *conn) {
	if !c.http2 || c.cc.Err() != nil {
		lease.Retire(pool.Reason(reasonPeer))
		return
	}
	// Its streams are used up, or it got a GOAWAY. Say that first and look
	// again then: a slot that came free in between is not missed.
	lease.Refuse()
	c.recheck(recheckFirst)
}
