// Package adapter is what Go's tests call, once rewritten, wherever they use an
// *http.Transport as a transport. It belongs to package gosuite, which runs
// them, and is no use to anybody else: importing it replaces
// http.DefaultTransport.
package adapter

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/stayopen-go/stayopen/transport"
)

// Variable names the environment variable that says which transport is under
// test: its value is NetHTTP or Stayopen.
const Variable = "STAYOPEN_GOSUITE"

// The transports that can be under test.
const (
	NetHTTP  = "net/http" // every *http.Transport is used as it is
	Stayopen = "stayopen" // every *http.Transport has an Adapter
)

var (
	underTest = os.Getenv(Variable)
	requests  atomic.Int64 // RoundTrips through adapters

	mu  sync.Mutex // guards all
	all = make(map[*http.Transport]*Adapter)
)

func init() {
	// For http.Get, for a Client with no Transport, for httputil.ReverseProxy.
	http.DefaultTransport = RoundTripper(http.DefaultTransport.(*http.Transport))
}

// A Routed is what tests use of an *http.Transport beyond its fields.
type Routed interface {
	RoundTrip(req *http.Request) (*http.Response, error)
	CloseIdleConnections()
	CancelRequest(req *http.Request)
}

// RoundTripper returns what takes t's place: for the same t always the same, so
// that two are equal where the *http.Transports are. Over net/http it is t
// itself, since http.Client knows that type and treats it better than others.
func RoundTripper(t *http.Transport) Routed {
	if underTest == NetHTTP {
		return t
	}
	mu.Lock()
	defer mu.Unlock()
	a := all[t]
	if a == nil {
		a = &Adapter{template: t}
		all[t] = a
	}
	return a
}

// An Adapter is a stayopen transport in the place of one *http.Transport. Tests
// assign to the fields of an *http.Transport until they first use it, and some
// of them again between two requests, so what takes its place is built at a
// request, from the fields as they are then.
type Adapter struct {
	template *http.Transport

	mu    sync.Mutex // guards what follows; held while a transport is built, never during a request
	built []built    // the last one is in use
}

// built is a stayopen transport with what it was built from.
type built struct {
	ours    *transport.Transport
	fields  string
	bubbled bool // in a synctest bubble
}

// RoundTrip sends the request through stayopen.
func (a *Adapter) RoundTrip(req *http.Request) (*http.Response, error) {
	requests.Add(1)
	t, err := a.open()
	if err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, err
	}
	resp, err := t.RoundTrip(cancelable(req))
	if err == nil {
		resp.Request = req
	}
	return resp, err
}

func (a *Adapter) open() (*transport.Transport, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := len(a.built); n > 0 {
		last := a.built[n-1]
		if last.fields == fields(a.template) {
			return last.ours, nil
		}
		last.ours.CloseIdleConnections()
	}
	t, err := transport.New(transport.Config{Name: "gosuite", Template: a.template})
	if err != nil {
		return nil, err
	}
	// After New, which makes net/http fill in TLSNextProto.
	a.built = append(a.built, built{t, fields(a.template), inBubble()})
	return t, nil
}

// inBubble reports whether the calling goroutine is in a synctest bubble. Only
// the first line of a stack, "goroutine 7 [running, synctest bubble 1]:", says so.
func inBubble() bool {
	var line [128]byte
	head, _, _ := bytes.Cut(line[:runtime.Stack(line[:], false)], []byte("\n"))
	return bytes.Contains(head, []byte("synctest bubble"))
}

// opened returns the stayopen transports that there are.
func (a *Adapter) opened() []built {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.built)
}

// CloseIdleConnections closes those of the *http.Transport, which has some
// where requests reach it for other schemes, and those of stayopen's.
func (a *Adapter) CloseIdleConnections() {
	a.template.CloseIdleConnections()
	for _, b := range a.opened() {
		b.ours.CloseIdleConnections()
	}
}

// Client makes c, which is changed, use what takes the place of its
// *http.Transport. It may be called for one client from several goroutines, as
// httptest.Server's Client may, whose calls it follows.
func Client(c *http.Client) *http.Client {
	if underTest == NetHTTP {
		return c
	}
	clientMu.Lock()
	defer clientMu.Unlock()
	if t, ok := c.Transport.(*http.Transport); ok {
		c.Transport = RoundTripper(t)
	}
	return c
}

// clientMu guards the field Transport of clients while Client changes it.
var clientMu sync.Mutex

// Unwrap returns the *http.Transport behind an adapter, and everything else as
// it is.
func Unwrap(v any) any {
	if a, ok := v.(*Adapter); ok {
		return a.template
	}
	return v
}

// As is the type assertion v.(T), with adapters seen through.
func As[T any](v any) T { return Unwrap(v).(T) }

// AsOK is As in the form that reports failure.
func AsOK[T any](v any) (T, bool) {
	t, ok := Unwrap(v).(T)
	return t, ok
}

// SameError reports whether two errors are both nil or say the same. Tests
// compare with errors that net/http does not export this way: what they stand
// for can be told by its text only.
func SameError(a, b error) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Error() == b.Error()
}

// ErrorIs is errors.Is by SameError.
func ErrorIs(err, target error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		if SameError(err, target) {
			return true
		}
	}
	return target == nil
}
