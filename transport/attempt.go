package transport

import (
	"net/http"
	"net/http/httptrace"
	"reflect"
	"time"
)

// attempt is one try of an exchange on one connection.
type attempt struct {
	x      *exchange
	lease  *connLease
	conn   *conn
	fresh  bool // the connection is new: it had no time to go stale
	reused bool // an exchange was attempted on the connection before
	served bool // one succeeded

	written int64  // bytes on the wire when it began
	goodbye reason // why it asks for the connection to be closed; empty: it does not

	leg   *handshake // nil unless the response is a challenge that the next leg answers
	offer *offer     // nil unless the response asks for credentials of which there were none
}

func (a *attempt) gotConn() {
	trace := a.x.trace
	if trace == nil || trace.GotConn == nil {
		return
	}
	info := httptrace.GotConnInfo{Conn: a.conn.wire.given, Reused: a.reused}
	info.IdleTime, info.WasIdle = a.lease.Idle()
	if h := a.x.resumed; h != nil {
		info.IdleTime, info.WasIdle = time.Since(h.since), true
	}
	trace.GotConn(info)
}

// do sends the request and returns the response, whose body then ends the
// lease, or an error, after which the lease has ended.
func (a *attempt) do() (*http.Response, error) {
	a.sayGoodbye()
	req := a.request()
	a.conn.ask()
	resp, err := a.conn.cc.RoundTrip(req)
	if err != nil {
		a.conn.answered()
		a.failed()
		return nil, err
	}
	last := resp.Close || a.x.req.Close || a.x.t.singleUse || a.goodbye != ""
	if last && !a.conn.http2 && resp.StatusCode != http.StatusSwitchingProtocols {
		a.last() // net/http closes it by itself when the body ends
	}
	a.conn.answered()
	a.x.t.count.exchange(a.conn)
	a.x.compared.answered(resp, (resp.Close || a.x.req.Close) && a.goodbye == "" && !a.x.t.singleUse)
	a.conn.heard(resp)
	if a.conn.http2 {
		a.conn.settle()
	} else if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusProxyAuthRequired {
		a.challenged(resp)
	}
	resp.Request = a.x.req
	resp.TLS = a.conn.wire.tls
	a.x.body.settle(false)
	a.handBody(resp, last)
	return resp, nil
}

// request is the caller's, or a copy if it needs our context or body, or if it
// asks for the connection to be closed.
func (a *attempt) request() *http.Request {
	x := a.x
	if x.cancel == nil && x.body == nil && a.goodbye == "" {
		return x.req
	}
	req := x.req.WithContext(x.ctx)
	req.Close = req.Close || a.goodbye != ""
	req.Cancel = nil // ctx ends with it
	if x.body != nil {
		if a.conn.http2 {
			x.body.watch() // its end may come after the response's
		}
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
		a.lease.Retire(c.loss(reasonPeer))
	default:
		a.lease.Retire(c.loss(reasonBroken))
	}
}

// ended reports whether the response ended with its header. net/http's
// condition for HTTP/1, which hands such a connection on before it returns.
func (a *attempt) ended(resp *http.Response) bool {
	if a.x.req.Method == http.MethodHead || resp.Body == http.NoBody {
		return true
	}
	if a.conn.http2 {
		// Its NoBody is another one. A length of zero says nothing: trailers
		// may follow.
		return reflect.TypeOf(resp.Body).String() == "http.http2noBodyReader"
	}
	return resp.ContentLength == 0
}

// handBody ties the end of the response to the end of the lease.
func (a *attempt) handBody(resp *http.Response, last bool) {
	x, c := a.x, a.conn
	if resp.StatusCode == http.StatusSwitchingProtocols && !c.http2 {
		// The connection is the caller's from here on, also after its context.
		x.compared.finish(false)
		x.leave(true)
		c.because(reasonUpgrade)
		c.watch.remove(c)
		a.lease.Detach()
		x.over()
		return
	}
	b := &body{a: a, rc: resp.Body, last: last, decoded: resp.Uncompressed}
	b.left.Store(-1)
	if a.ended(resp) {
		b.end(true)
		return
	}
	if !resp.Uncompressed {
		b.left.Store(resp.ContentLength)
	}
	resp.Body = b
}
