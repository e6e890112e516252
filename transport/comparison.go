package transport

import (
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/stayopen-go/stayopen/pool"
	"github.com/stayopen-go/stayopen/transport/internal/model"
)

// comparison runs a model of http.DefaultTransport's pool alongside. A nil one
// does nothing.
type comparison struct{ model *model.Model[origin] }

func newComparison(on bool) *comparison {
	if !on {
		return nil
	}
	return &comparison{model.New[origin](model.NetHTTP(), nil)}
}

// compared is what the model knows o as: http.DefaultTransport has no partitions
// and pins nothing, and lets NTLM ride on HTTP/2 too.
func (o origin) compared() origin {
	return origin{scheme: o.scheme, addr: o.addr, proxy: o.proxy, http1: o.http1 && o.auth == 0}
}

// begin tells that a request begins to look for a connection.
func (c *comparison) begin(o origin) *comparedRequest {
	if c == nil {
		return nil
	}
	r := &comparedRequest{model: c.model}
	c.model.Begin(&r.request, o.compared())
	return r
}

// dialed tells that a dial took so long.
func (c *comparison) dialed(o origin, took time.Duration, http2 bool) {
	if c == nil {
		return
	}
	c.model.Dialed(o.compared(), took)
	if http2 {
		c.model.SpeaksHTTP2(o.compared())
	}
}

func (c *comparison) closeIdle() {
	if c != nil {
		c.model.CloseIdle(time.Now())
	}
}

// avoided is how many connections http.DefaultTransport would have opened beyond
// so many.
func (c *comparison) avoided(opened uint64) int64 {
	if c == nil {
		return 0
	}
	return int64(c.model.Counts(time.Now()).Opened) - int64(opened)
}

// comparedRequest is a request on its way through the model. A nil one does
// nothing. The model keeps it for a while: it holds on to nothing else.
type comparedRequest struct {
	model   *model.Model[origin]
	request model.Request
	got     time.Time
	major   int
	last    bool // the connection ends with it, at both transports
	over    atomic.Bool
}

// began tells that the request has its connection.
func (r *comparedRequest) began() {
	if r != nil {
		r.got = time.Now()
	}
}

// answered takes in a response. That this Transport asked for the connection to
// be closed is its own affair.
func (r *comparedRequest) answered(resp *http.Response, last bool) {
	if r != nil {
		r.major, r.last = max(resp.ProtoMajor, 1), last && resp.ProtoMajor < 2
	}
}

// end tells that the request has ended, once; left is what was left of its body.
func (r *comparedRequest) end(outcome model.Outcome, left int64) {
	if r == nil || r.over.Swap(true) {
		return
	}
	if r.last {
		outcome = model.Lost
	}
	r.model.End(&r.request, time.Now(), model.Ending{Outcome: outcome, Major: r.major, Left: left, Got: r.got})
}

// finish is end for a response that was complete, or was not.
func (r *comparedRequest) finish(sound bool) {
	if sound {
		r.end(model.Kept, 0)
	} else {
		r.end(model.Lost, 0)
	}
}

// fail is end for a request that got no response. r is not nil.
func (r *comparedRequest) fail(err error, canceled bool) {
	var full *pool.QueueFullError
	var late *pool.WaitError
	switch {
	case !r.got.IsZero():
		r.end(model.Lost, 0)
	case canceled, errors.As(err, &full), errors.As(err, &late), errors.Is(err, ErrClosed):
		r.end(model.GaveUp, 0)
	default:
		r.end(model.Refused, 0)
	}
}
