package shadow

import (
	"crypto/tls"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"

	"github.com/stayopen-go/stayopen/transport/internal/model"
)

// request is one request on its way through the wrapped transport, whose hooks
// call it, from several goroutines at once and also after RoundTrip has returned.
type request struct {
	t      *Transport
	target target
	http1  bool // it asks for an upgrade
	count  *counters
	start  time.Time

	mu       sync.Mutex // guards what follows; nothing but the models is called under it
	begun    bool       // the models know of it
	ended    bool       // and that it has ended
	answered bool       // a response came
	last     bool       // its connection ends with it
	major    int        // the version of HTTP that it came by
	origin   origin
	got      time.Time // when it had its connection
	put      time.Time // when that became free again
	dialing  time.Time // when connecting began
	dialed   bool      // how long dialing took is known

	stayopen, ordinary model.Request
}

// trace holds the hooks that count. Hooks that can change what a transport does,
// such as Got1xxResponse, are not among them.
func (r *request) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn:          r.getConn,
		GotConn:          r.gotConn,
		PutIdleConn:      r.putIdleConn,
		WroteRequest:     r.wroteRequest,
		ConnectStart:     r.connectStart,
		ConnectDone:      r.connectDone,
		TLSHandshakeDone: r.handshakeDone,
	}
}

func (r *request) getConn(hop string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.begun { // a transport that sends a request again calls it again
		return
	}
	r.begun, r.origin = true, r.target.originVia(hop, r.http1)
	// The transport looks for an idle connection just after this.
	r.t.stayopen.Begin(&r.stayopen, r.origin)
	r.t.ordinary.Begin(&r.ordinary, r.origin)
}

func (r *request) gotConn(info httptrace.GotConnInfo) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = now
	if info.Reused {
		r.count.reused.Add(1)
		return
	}
	r.count.fresh.Add(1)
	switch {
	case r.count.connected.Load() == 0: // package net tells nothing
		r.dialedLocked(now, r.start)
	case r.target.scheme == "http": // package net tells, and this may be another's dial
	case r.count.handshakes.Load() == 0 && !r.dialing.IsZero(): // net/http does not, of TLS
		r.dialedLocked(now, r.dialing)
	}
}

func (r *request) wroteRequest(info httptrace.WroteRequestInfo) {
	if info.Err == nil {
		r.count.sent.Add(1)
	}
}

func (r *request) connectStart(network, _ string) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dialing.IsZero() {
		r.dialing = now
	}
}

func (r *request) connectDone(network, _ string, err error) {
	switch {
	case strings.HasPrefix(network, "udp"): // not a connection that somebody closes
		return
	case err != nil:
		r.count.refused.Add(1)
		return
	}
	now := time.Now()
	r.count.connected.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.target.scheme == "http" {
		r.dialedLocked(now, r.dialing)
	}
}

func (r *request) handshakeDone(s tls.ConnectionState, err error) {
	if err != nil {
		r.count.badHandshakes.Add(1)
		return
	}
	now := time.Now()
	r.count.handshakes.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.begun && s.NegotiatedProtocol == "h2" {
		r.t.stayopen.SpeaksHTTP2(r.origin)
		r.t.ordinary.SpeaksHTTP2(r.origin)
	}
	if !r.dialing.IsZero() {
		r.dialedLocked(now, r.dialing)
	}
}

// dialedLocked tells the models how long the request's dial took, once.
func (r *request) dialedLocked(now, since time.Time) {
	if r.dialed || !r.begun {
		return
	}
	r.dialed = true
	r.t.stayopen.Dialed(r.origin, now.Sub(since))
	r.t.ordinary.Dialed(r.origin, now.Sub(since))
}

// putIdleConn is called when the exchange is over and the connection could serve
// again. That is sooner than the reader of the body learns of it.
func (r *request) putIdleConn(err error) {
	now := time.Now()
	if err != nil {
		r.count.notKept.Add(1)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.put = now
	if r.answered {
		r.endLocked(now, model.Ending{Outcome: model.Kept})
	}
}

// fail counts an error of RoundTrip. req is the caller's, which is not kept: the
// models remember r for a while.
func (r *request) fail(req *http.Request) {
	now := time.Now()
	r.count.failed.Add(1)
	outcome := model.Lost
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.got.IsZero() {
		outcome = model.Refused
		if canceled(req) {
			outcome = model.GaveUp
		}
	}
	if r.begun { // otherwise it never asked for a connection
		r.endLocked(now, model.Ending{Outcome: outcome})
	}
}

// canceled reports whether the caller has ended req.
func canceled(req *http.Request) bool {
	select {
	case <-req.Cancel:
		return true
	default:
		return req.Context().Err() != nil
	}
}

// answer takes in a response to req. What comes after its header is not known yet.
func (r *request) answer(req *http.Request, resp *http.Response) {
	r.count.exchanges.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answered = true
	r.major = max(resp.ProtoMajor, 1)
	r.last = r.major == 1 && (resp.Close || req.Close)
	if !r.begun { // the transport calls no hooks
		r.begun, r.origin = true, r.target.originVia(r.target.addr, r.http1)
		r.t.stayopen.BeganAt(&r.stayopen, r.start, r.origin)
		r.t.ordinary.BeganAt(&r.ordinary, r.start, r.origin)
	}
}

// end tells the models that the request has ended, once.
func (r *request) end(outcome model.Outcome, left int64) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.put.IsZero() && outcome == model.Kept {
		now = r.put
	}
	r.endLocked(now, model.Ending{Outcome: outcome, Left: left})
}

func (r *request) endLocked(now time.Time, e model.Ending) {
	if r.ended {
		return
	}
	r.ended = true
	e.Major, e.Got = r.major, r.got
	if r.last {
		e.Outcome = model.Lost
	}
	r.t.stayopen.End(&r.stayopen, now, e)
	r.t.ordinary.End(&r.ordinary, now, e)
}
