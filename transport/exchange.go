package transport

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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
		}
	}()
}

// abort cancels the exchange. The connection of an HTTP/1 one is lost with it:
// nobody wants what is still on its way, so it need not leave a TIME_WAIT.
func (x *exchange) abort(cause error) {
	x.mu.Lock()
	if x.conn != nil {
		x.conn.because(reasonCanceled)
		x.conn.wire.reset.Store(true)
	}
	x.mu.Unlock()
	x.cancel(cause)
}

// use notes the HTTP/1 connection that the exchange runs on.
func (x *exchange) use(c *conn) {
	c.busy.Store(true)
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
	x.awaitTimeout(caller)
	if caller.Err() != nil {
		return context.Cause(caller)
	}
	return context.Cause(x.ctx)
}

// awaitTimeout lets both ends come in of a request that http.Client gave a
// Timeout: its context's deadline and its Cancel channel, which end at the same
// moment, in either order. Only with both does the error read as it does with
// net/http's own transport: that of the context, of which http.Client knows that
// it was the timeout.
func (x *exchange) awaitTimeout(caller context.Context) {
	const slack = 20 * time.Millisecond
	deadline, ok := caller.Deadline()
	if !ok || x.req.Cancel == nil || time.Until(deadline) > slack {
		return
	}
	timer := time.NewTimer(slack)
	defer timer.Stop()
	select {
	case <-caller.Done():
	case <-timer.C:
		return
	}
	select {
	case <-x.req.Cancel:
	case <-timer.C:
	}
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
	}
}

// begin finds a connection for an attempt.
func (x *exchange) begin() (*attempt, error) {
	o, err := x.t.originOf(x.req)
	if err != nil {
		return nil, err
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
		lease, err := x.t.pool.Get(ctx, o)
		if err != nil {
			return nil, x.noConnection(err)
		}
		if a := x.take(lease); a != nil {
			return a, nil
		}
	}
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
	if !lease.Fresh() && c.wire.stale(c.http2) {
		c.because(reasonPeer)
		lease.Retire(pool.Reason(reasonPeer))
		return nil
	}
	// A fresh connection that is dead already is used all the same, so that
	// its error is seen.
	if err := c.cc.Reserve(); err != nil && !lease.Fresh() {
		x.refused(lease, c)
		return nil
	}
	a := &attempt{x: x, lease: lease, conn: c, reused: c.used.Swap(true), served: c.served.Load()}
	if !a.reused {
		x.t.count.used.Add(1)
	}
	if a.served {
		x.t.count.reused.Add(1)
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

// attempt is one try of an exchange on one connection.
type attempt struct {
	x      *exchange
	lease  *connLease
	conn   *conn
	reused bool // an exchange was attempted on the connection before
	served bool // one succeeded

	written int64 // bytes on the wire when it began
}

func (a *attempt) gotConn() {
	trace := a.x.trace
	if trace == nil || trace.GotConn == nil {
		return
	}
	info := httptrace.GotConnInfo{Conn: a.conn.wire.given, Reused: a.reused}
	info.IdleTime, info.WasIdle = a.lease.Idle()
	trace.GotConn(info)
}

// do sends the request and returns the response, whose body then ends the
// lease, or an error, after which the lease has ended.
func (a *attempt) do() (*http.Response, error) {
	resp, err := a.conn.cc.RoundTrip(a.request())
	if err != nil {
		a.failed()
		return nil, err
	}
	a.x.t.count.exchange(a.conn)
	if a.conn.http2 {
		a.conn.settle()
	}
	resp.Request = a.x.req
	resp.TLS = a.conn.wire.tls
	a.x.body.settle(false)
	a.handBody(resp)
	return resp, nil
}

// request is the caller's, or a copy if it needs our context or body.
func (a *attempt) request() *http.Request {
	x := a.x
	if x.cancel == nil && x.body == nil {
		return x.req
	}
	req := x.req.WithContext(x.ctx)
	req.Cancel = nil // ctx ends with it
	if x.body != nil {
		req.Body = x.body.next()
	}
	return req
}

// canceled is exchange.canceled. On HTTP/2 net/http does not tell the cause.
func (a *attempt) canceled() error {
	cause := a.x.canceled()
	if err := a.x.req.Context().Err(); a.conn.http2 && cause != nil && err != nil {
		return err
	}
	return cause
}

// failed ends the lease after an attempt without a response.
func (a *attempt) failed() {
	c := a.conn
	a.x.leave(false)
	switch {
	case c.http2 && c.cc.Err() == nil: // the stream failed, not the connection
		a.lease.Release()
	case c.wire.broke.Load():
		a.lease.Retire(pool.Reason(reasonPeer))
	default:
		a.lease.Retire(pool.Reason(reasonBroken))
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
	if a.lease.Fresh() || !w.broke.Load() && !closedIdle(err) {
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
		return a.x.body.canRewind() && !(a.lease.Fresh() && a.conn.wire.broke.Load())
	}
	if !replayable(a.x.req) {
		return false
	}
	if code, ok := streamCode(err); ok {
		return code == protocolError // golang/go#42777
	}
	return !a.lease.Fresh() && a.conn.wire.broke.Load()
}

// final is the error for the caller.
func (a *attempt) final(err error) error {
	x, w := a.x, a.conn.wire
	err = plain(err)
	switch {
	case x.t.closing.Load():
		return fmt.Errorf("%w: %w", ErrClosed, err)
	case !w.broke.Load() && !closedIdle(err) || x.body.readErr() != nil || replayable(x.req):
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

// ended reports whether the response ended with its header. net/http's
// condition for HTTP/1, which hands such a connection on before it returns.
func (a *attempt) ended(resp *http.Response) bool {
	if resp.Body == http.NoBody {
		return true
	}
	return !a.conn.http2 && (a.x.req.Method == http.MethodHead || resp.ContentLength == 0)
}

// handBody ties the end of the response to the end of the lease.
func (a *attempt) handBody(resp *http.Response) {
	x, c := a.x, a.conn
	if resp.StatusCode == http.StatusSwitchingProtocols && !c.http2 {
		// The connection is the caller's from here on, also after its context.
		x.leave(true)
		c.because(reasonUpgrade)
		a.lease.Detach()
		x.over()
		return
	}
	b := &body{a: a, rc: resp.Body, left: -1}
	b.last = resp.Close || x.req.Close || x.t.singleUse
	if b.last && !c.http2 {
		c.because(reasonLast) // net/http closes it by itself when the body ends
	}
	if a.ended(resp) {
		b.end(true)
		return
	}
	if !resp.Uncompressed {
		b.left = resp.ContentLength
	}
	resp.Body = b
}
