package transport_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
)

// payload is a request's body that knows what became of it. Every reader of it
// that was handed out has to be closed once.
type payload struct {
	data []byte
	fail error  // what reading ends with; nil: io.EOF
	last func() // called before it fails; nil: nothing

	mu      sync.Mutex // guards readers
	readers []*payloadReader
}

// payloadReader is one reading of a payload. Its type is none that net/http or
// package transport know, so that they have to treat it with care.
type payloadReader struct {
	p      *payload
	r      *bytes.Reader
	closes int // guarded by p.mu
}

func (p *payload) reader() io.ReadCloser {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := &payloadReader{p: p, r: bytes.NewReader(p.data)}
	p.readers = append(p.readers, r)
	return r
}

// attach makes p the body of req, which can be had again if again is set.
func (p *payload) attach(req *http.Request, again bool) {
	req.Body = p.reader()
	req.ContentLength = int64(len(p.data))
	if p.fail != nil {
		req.ContentLength++ // there would be more if it did not fail
	}
	if again {
		req.GetBody = func() (io.ReadCloser, error) { return p.reader(), nil }
	}
}

func (r *payloadReader) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	if err == io.EOF && r.p.fail != nil {
		if r.p.last != nil {
			r.p.last()
		}
		err = r.p.fail
	}
	return n, err
}

func (r *payloadReader) Close() error {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	r.closes++
	return nil
}

// closed returns an error unless every reader was closed once.
func (p *payload) closed() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.readers {
		switch {
		case r.closes == 0:
			return errors.New("a request's body was not closed")
		case r.closes > 1:
			return errors.New("a request's body was closed more than once")
		}
	}
	return nil
}

// checkClosed is for when RoundTrip has returned: a body that is lost must be
// closed by then, one that may still be on its way in good time.
func (p *payload) checkClosed(t *testing.T, failed bool) {
	t.Helper()
	if !failed {
		await(t, "the request's body to be closed", func() bool { return p.closed() == nil })
	}
	if err := p.closed(); err != nil {
		t.Errorf("RoundTrip has returned, and %v", err)
	}
}

// copy is a payload with the same content that nobody has read.
func (p *payload) copy() *payload {
	if p == nil {
		return nil
	}
	return &payload{data: p.data, fail: p.fail}
}
