package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"sync/atomic"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/transport"
)

// noneError says that there is no upstream for a request.
type noneError struct{ retryAfter time.Duration }

func (e *noneError) Error() string { return "no upstream is available" }

// attempt is one try of a request, on one upstream.
type attempt struct {
	upstream  *upstream
	began     time.Time
	connected atomic.Bool // there was a connection to send the request on
	resp      *http.Response
	err       error
}

// RoundTrip sends the request to one upstream after the other, until one answers or
// the request may not be sent again. The request must be a flight's, which holds the
// last upstream until it lands.
func (b *balancer) RoundTrip(req *http.Request) (*http.Response, error) {
	f := flightOf(req)
	if req.Body != nil {
		f.body = &shield{ReadCloser: req.Body}
		req.Body = f.body
	}
	var failed error
	var tried []*upstream
	for {
		u := b.pick(tried)
		if u == nil && failed == nil {
			failed = &noneError{b.retryAfter()}
		}
		if u == nil {
			return nil, failed
		}
		if tried != nil {
			f.repeats++
		}
		tried = append(tried, u)
		a := b.try(u, req)
		again := b.judge(a, req, tried)
		if !again && a.err == nil {
			f.release = func() { b.release(u, false) }
			return a.resp, nil
		}
		b.release(u, true)
		if failed = a.failure(); !again {
			return nil, failed
		}
	}
}

// try sends the request to the upstream.
func (b *balancer) try(u *upstream, req *http.Request) *attempt {
	a := &attempt{upstream: u, began: time.Now()}
	trace := &httptrace.ClientTrace{
		// The transport may itself have found that a connection was dead, and
		// look for another.
		GetConn: func(string) { a.connected.Store(false) },
		GotConn: func(httptrace.GotConnInfo) {
			a.connected.Store(true)
			b.connected(u)
		},
	}
	out := req.WithContext(httptrace.WithClientTrace(req.Context(), trace))
	a.resp, a.err = b.rt.RoundTrip(u.address(out))
	return a
}

// address makes the request one to the upstream. The Host stays the client's.
func (u *upstream) address(out *http.Request) *http.Request {
	to := *out.URL
	out.URL = &to
	host := out.Host
	(&httputil.ProxyRequest{Out: out}).SetURL(u.url)
	out.Host = host
	return out
}

// judge draws the conclusions from an attempt: about the upstream, and whether the
// request may be sent to another.
func (b *balancer) judge(a *attempt, req *http.Request, tried []*upstream) (again bool) {
	f := flightOf(req)
	switch {
	case a.err == nil && a.resp.StatusCode != http.StatusBadGateway:
		b.answered(a.upstream)
		return false
	case a.err == nil:
		// Others may do better, but a bad answer is better than none.
		if b.hasOther(a.upstream) {
			b.setAside(a.upstream, a.began, true, "it answered "+a.resp.Status)
		}
		return f.repeatable(req) && b.hasOther(tried...)
	case req.Context().Err() != nil || f.body.failed():
		return false // the client's doing
	case !a.connected.Load():
		if !isOurs(a.err) {
			b.setAside(a.upstream, a.began, false, a.err.Error())
		}
		return !f.body.touched()
	}
	// A connection that ended says little about the upstream: if it is gone the
	// next dial will tell, and if it is not, the request may be what it cannot
	// stand, and would take one upstream after the other from everybody else.
	return !isTimeout(a.err) && f.repeatable(req)
}

// failure is why the attempt was of no use.
func (a *attempt) failure() error {
	if a.err == nil {
		a.resp.Body.Close()
		return fmt.Errorf("%s answered %s", a.upstream.url, a.resp.Status)
	}
	return fmt.Errorf("%s: %w", a.upstream.url, a.err)
}

// isOurs reports whether a dial failed for a lack on this host.
func isOurs(err error) bool {
	var source *dialer.SourceError
	return errors.As(err, &source) || errors.Is(err, dialer.ErrPortsExhausted) || errors.Is(err, dialer.ErrFilesExhausted) ||
		errors.Is(err, dialer.ErrNoSource) || errors.Is(err, transport.ErrClosed)
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// shield is a request's body that outlives an attempt, and knows whether it was
// read. ReverseProxy closes what is beneath. A nil shield is no body.
type shield struct {
	io.ReadCloser
	read, broke atomic.Bool
}

func (s *shield) Read(p []byte) (int, error) {
	s.read.Store(true)
	n, err := s.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		s.broke.Store(true)
	}
	return n, err
}

// Close does nothing: the body may be needed for another attempt.
func (s *shield) Close() error { return nil }

// touched reports whether something has been read.
func (s *shield) touched() bool { return s != nil && s.read.Load() }

// failed reports whether the client has sent something else than a body, or not all
// of it.
func (s *shield) failed() bool { return s != nil && s.broke.Load() }
