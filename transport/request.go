package transport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"strings"
	"sync"

	"golang.org/x/net/http/httpguts"
)

// checkRequest refuses what net/http refuses, in its words and order.
func checkRequest(req *http.Request) error {
	if err := checkHeader("header", req.Header); err != nil {
		return err
	}
	if err := checkHeader("trailer", req.Trailer); err != nil {
		return err
	}
	if req.Method != "" && !httpguts.ValidHeaderFieldName(req.Method) {
		return fmt.Errorf("net/http: invalid method %q", req.Method)
	}
	if req.URL.Host == "" {
		return errors.New("http: no Host in request URL")
	}
	return nil
}

func checkHeader(kind string, h http.Header) error {
	for name, values := range h {
		if !httpguts.ValidHeaderFieldName(name) {
			return fmt.Errorf("net/http: invalid %s field name %q", kind, name)
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				// The value is left out: it may be a secret.
				return fmt.Errorf("net/http: invalid %s field value for %q", kind, name)
			}
		}
	}
	return nil
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}

func hasBody(req *http.Request) bool {
	return req.Body != nil && req.Body != http.NoBody
}

// replayable reports whether req may be sent twice: it is idempotent by its
// method (RFC 9110, section 9.2.2; net/http's narrower list) or by the key its
// sender gave, and its body can be had again.
func replayable(req *http.Request) bool {
	if hasBody(req) && req.GetBody == nil {
		return false
	}
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	_, key := req.Header["Idempotency-Key"]
	_, xkey := req.Header["X-Idempotency-Key"]
	return key || xkey
}

// requestBody gives a request's body to one attempt after the other.
//
// A body of unknown kind is watched, so that one that was never read can go
// into a second attempt as it is. Bodies in memory and files are handed to
// HTTP/1 bare, because net/http looks at their types: headers and a body in
// memory leave in one packet, and files by sendfile.
type requestBody struct {
	body    io.ReadCloser
	getBody func() (io.ReadCloser, error)
	memory  interface{ Len() int } // the body's reader, if it is one in memory
	length  int                    // of memory, before anything was read
	watched *watchedBody           // nil while the body is handed over bare
}

func newRequestBody(req *http.Request) *requestBody {
	if !hasBody(req) {
		return nil
	}
	b := &requestBody{getBody: req.GetBody}
	b.take(req.Body)
	return b
}

func (b *requestBody) take(body io.ReadCloser) {
	b.body, b.watched, b.memory = body, nil, inMemory(body)
	if b.memory != nil {
		b.length = b.memory.Len()
		return
	}
	if _, file := body.(*os.File); !file {
		b.watch()
	}
}

// watch has the body handed over watched, whatever it is.
func (b *requestBody) watch() {
	if b.watched == nil {
		b.watched = &watchedBody{body: b.body}
	}
}

var (
	// The two types of io.NopCloser's results.
	nopCloser   = reflect.TypeOf(io.NopCloser(nil))
	nopCloserTo = reflect.TypeOf(io.NopCloser(struct {
		io.Reader
		io.WriterTo
	}{}))
)

// inMemory is the reader in an io.NopCloser if it reads from memory, else nil.
// It is what http.NewRequest makes of such a reader, and net/http looks for the
// same.
func inMemory(body io.ReadCloser) interface{ Len() int } {
	if typ := reflect.TypeOf(body); typ != nopCloser && typ != nopCloserTo {
		return nil
	}
	switch r := reflect.ValueOf(body).Field(0).Interface().(type) {
	case *bytes.Reader:
		return r
	case *bytes.Buffer:
		return r
	case *strings.Reader:
		return r
	}
	return nil
}

// next is the body for an attempt.
func (b *requestBody) next() io.ReadCloser {
	if b.watched != nil {
		return b.watched
	}
	return b.body
}

// untouched reports whether an attempt left the body unread.
func (b *requestBody) untouched() bool {
	switch {
	case b == nil:
		return true
	case b.watched != nil:
		return b.watched.unread()
	}
	return b.memory != nil && b.memory.Len() == b.length
}

// canRewind reports whether another attempt can have the whole body.
func (b *requestBody) canRewind() bool {
	return b.untouched() || b.getBody != nil
}

// rewind readies the body for another attempt. On an error the body has been
// closed.
func (b *requestBody) rewind() error {
	if b == nil {
		return nil
	}
	if b.watched != nil && b.watched.again() || b.watched == nil && b.untouched() {
		return nil
	}
	b.next().Close()
	if b.getBody == nil {
		return errCannotRewind
	}
	body, err := b.getBody()
	if err != nil {
		return err
	}
	b.take(body)
	return nil
}

// settle says that there will be no further attempt; close closes the body
// unless net/http goes on sending it.
func (b *requestBody) settle(close bool) {
	switch {
	case b == nil:
	case b.watched != nil:
		b.watched.settle(close)
	case close:
		b.body.Close()
	}
}

// readErr is the error that reading the body ended with, nil if it did not.
func (b *requestBody) readErr() error {
	if b == nil || b.watched == nil {
		return nil
	}
	b.watched.mu.Lock()
	defer b.watched.mu.Unlock()
	return b.watched.err
}

// watchedBody knows whether it was read, and keeps a Close of a body that was
// not from reaching it until it is known that no further attempt wants it.
type watchedBody struct {
	body io.ReadCloser

	mu      sync.Mutex // guards what follows; not held while body is read or closed
	read    bool       // Read was called
	wanted  bool       // Close was called
	settled bool       // no further attempt
	closed  bool       // body.Close was called
	err     error      // of Read, other than io.EOF
	after   func()     // called once when Close was called, after it; may be nil
}

func (w *watchedBody) Read(p []byte) (int, error) {
	w.mu.Lock()
	w.read = true
	w.mu.Unlock()
	n, err := w.body.Read(p)
	if err != nil && err != io.EOF {
		w.mu.Lock()
		w.err = err
		w.mu.Unlock()
	}
	return n, err
}

func (w *watchedBody) Close() error {
	w.mu.Lock()
	w.wanted = true
	return w.closeIfDueAndUnlock()
}

func (w *watchedBody) settle(close bool) {
	w.mu.Lock()
	w.settled = true
	w.wanted = w.wanted || close
	w.closeIfDueAndUnlock()
}

func (w *watchedBody) closeIfDueAndUnlock() error {
	due := w.wanted && !w.closed && (w.settled || w.read)
	w.closed = w.closed || due
	after := w.after
	if due {
		w.after = nil
	}
	w.mu.Unlock()
	if !due {
		return nil
	}
	err := w.body.Close()
	if after != nil {
		after()
	}
	return err
}

// whenClosed calls f when the body has been closed, at once if it has.
func (w *watchedBody) whenClosed(f func()) {
	w.mu.Lock()
	if !w.closed {
		w.after = f
		f = nil
	}
	w.mu.Unlock()
	if f != nil {
		f()
	}
}

func (w *watchedBody) unread() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.read && !w.closed
}

// again readies an unread body for another attempt.
func (w *watchedBody) again() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.read || w.closed {
		return false
	}
	w.wanted = false
	return true
}
