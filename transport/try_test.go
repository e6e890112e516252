package transport_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stayopen-go/stayopen/transport"
)

// try is one request to a server that does something else than answer it.
type try struct {
	method string
	header http.Header
	body   *payload // nil: none
	again  bool     // the body can be had again
	tune   func(*http.Transport)

	// fate is what the server does to the first attempt. It returns whether the
	// connection goes on.
	fate    func(*peer) bool
	always  bool // to the later ones as well
	fresh   bool // the first attempt's connection is a new one; otherwise it has served a request
	between bool // fate comes true after the connection was chosen and before anything is written
	fails   bool // the first attempt's first write fails, with nothing written
}

// tried is how that went.
type tried struct {
	outcome outcome
	err     error
	status  int
	arrived int // how often the request's head was read by the server
	accepts int
	retries uint64 // ours only
}

type outcome string

const (
	answered  outcome = "answered"
	maybeSent outcome = "failed with a MaybeSentError"
	failed    outcome = "failed with another error"
)

// ours makes the try over a Transport of this package.
func (c try) ours(t *testing.T, mode string) tried {
	t.Helper()
	var tr *transport.Transport
	got := c.over(t, mode, c.checkBody, func(tmpl *http.Transport) http.RoundTripper {
		tr = newTransport(t, transport.Config{Template: tmpl})
		return tr
	})
	st := tr.Stats()
	got.retries = st.Retries
	if st.Active != 0 || st.Waiting != 0 {
		t.Errorf("%d exchanges active and %d waiting after the last response was read, want none", st.Active, st.Waiting)
	}
	return got
}

// theirs makes the same try over net/http's.
func (c try) theirs(t *testing.T, mode string) tried {
	t.Helper()
	c.body = c.body.copy()
	return c.over(t, mode, func(*testing.T, error) {}, func(tmpl *http.Transport) http.RoundTripper {
		t.Cleanup(tmpl.CloseIdleConnections)
		return tmpl
	})
}

// checkBody holds that RoundTrip closes the request's body once, and by the time
// it returns if it fails.
func (c try) checkBody(t *testing.T, err error) {
	t.Helper()
	if c.body != nil {
		c.body.checkClosed(t, err != nil)
	}
}

func (c try) over(t *testing.T, mode string, returned func(*testing.T, error), make func(*http.Transport) http.RoundTripper) (got tried) {
	t.Helper()
	strike := newStrike()
	s := servePeers(t, mode, c.server(strike))
	tap := &tap{cut: c.fails && c.fresh}
	tmpl := tap.on(s.template())
	strike.seen = func() bool { return tap.conn(0).isClosed() }
	if c.tune != nil {
		c.tune(tmpl)
	}
	rt := make(tmpl)
	if !c.fresh {
		if body, _ := mustGet(t, &http.Client{Transport: rt}, s.url+"/before"); body != digest(nil) {
			t.Fatalf("the request before: got body %q", body)
		}
	}
	if c.fails && !c.fresh {
		tap.conn(0).cut.Store(true)
	}
	req := c.request(t, s.url, strike)
	resp, err := rt.RoundTrip(req)
	returned(t, err)
	got = tried{outcome: answered, err: err, arrived: s.arrived(tryPath), accepts: int(s.accepts.Load())}
	var maybe *transport.MaybeSentError
	switch {
	case errors.As(err, &maybe):
		got.outcome = maybeSent
	case err != nil:
		got.outcome = failed
	default:
		got.status = resp.StatusCode
		c.checkAnswer(t, resp)
	}
	return got
}

const tryPath = "/try"

func (c try) request(t *testing.T, url string, strike *strike) *http.Request {
	ctx := context.Background()
	if c.between {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { strike.now(t) }})
	}
	req, err := http.NewRequestWithContext(ctx, c.method, url+tryPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range c.header {
		req.Header[name] = values
	}
	if c.body != nil {
		c.body.attach(req, c.again)
	}
	return req
}

// server lets fate have its way once the request before is over.
func (c try) server(strike *strike) func(*peer) {
	var done atomic.Bool
	return func(p *peer) {
		if p.number == 0 && !c.fresh && answerOne(p) != nil {
			return
		}
		if c.fate != nil && (c.always || !done.Swap(true)) {
			if c.between {
				<-strike.wait
			}
			if !c.fate(p) {
				return
			}
		}
		for answerOne(p) == nil {
		}
	}
}

// answerOne answers a request with the digest of its body.
func answerOne(p *peer) error {
	a, err := p.request()
	if err != nil {
		return err
	}
	return p.answer(a, 200, digest(a.body))
}

func digest(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

func (c try) checkAnswer(t *testing.T, resp *http.Response) {
	t.Helper()
	got, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	var sent []byte
	if c.body != nil {
		sent = c.body.data
	}
	if want := digest(sent); resp.StatusCode == 200 && string(got) != want || err != nil {
		t.Errorf("the server answered %q (%v), want %q, the digest of the body sent: it got another one", got, err, want)
	}
}

// strike brings about, once, what a server does between two steps of a client.
type strike struct {
	once sync.Once
	wait chan struct{} // closed by now
	seen func() bool   // whether the client has seen what came of it
}

func newStrike() *strike { return &strike{wait: make(chan struct{})} }

func (s *strike) now(t *testing.T) {
	s.once.Do(func() {
		close(s.wait)
		await(t, "the client to see that its connection has ended", s.seen)
	})
}

// want holds how a try went against what was to be expected.
func (got tried) want(t *testing.T, want outcome, arrived int) {
	t.Helper()
	if got.outcome != want {
		t.Errorf("the request: %s (%v), want: %s", got.outcome, got.err, want)
	}
	if got.arrived != arrived {
		t.Errorf("the request arrived %d times at the server, want %d", got.arrived, arrived)
	}
	if got.outcome == maybeSent && !strings.Contains(got.err.Error(), "may have been sent") {
		t.Errorf("the error reads %q, which does not say that the request may have been sent", got.err)
	}
}

// void fails the test if net/http's Transport does as well.
func (got tried) void(t *testing.T, base tried) {
	t.Helper()
	if base.outcome == got.outcome && base.arrived == got.arrived {
		t.Errorf("over http.Transport the request: %s (%v), arrived %d times, as over ours: the run is void", base.outcome, base.err, base.arrived)
	}
}

func small() *payload { return &payload{data: []byte("twelve bytes")} }
