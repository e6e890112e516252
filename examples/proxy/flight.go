package main

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
)

// flight is one request on its way through the proxy. Only the goroutine of its
// handler uses it, but for what is atomic.
type flight struct {
	body     *shield // nil if the request has none
	release  func()  // gives the upstream back; nil if none has answered
	repeats  int     // upstreams beyond the first
	upgraded bool
	failed   bool        // the client got an answer of our own
	broke    atomic.Bool // the upstream did not send all of its answer
}

type flightKey struct{}

// flightOf returns the flight of a request within ServeHTTP.
func flightOf(r *http.Request) *flight { return r.Context().Value(flightKey{}).(*flight) }

// within returns the request as the flight's.
func (f *flight) within(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), flightKey{}, f))
}

// repeatable reports whether the request may be sent twice (RFC 9110, section
// 9.2.2, and what net/http makes of it), and there is no body that is gone.
func (f *flight) repeatable(r *http.Request) bool {
	if f.body != nil {
		return false
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return r.Header.Get("Idempotency-Key") != "" || r.Header.Get("X-Idempotency-Key") != ""
}

// answer is an answer's body that tells its flight if it ends early. The copying
// alone does not say on which side it failed.
type answer struct {
	io.ReadCloser
	flight *flight
}

func (a *answer) Read(p []byte) (int, error) {
	n, err := a.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		a.flight.broke.Store(true)
	}
	return n, err
}
