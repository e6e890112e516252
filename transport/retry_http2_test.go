package transport_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/stayopen-go/stayopen/transport"
)

// reset makes a fate of RST_STREAM.
func resetStream(code http2.ErrCode) func(*peer) bool {
	return func(p *peer) bool {
		a, err := p.head()
		if err != nil {
			return false
		}
		delete(p.h2.open, a.stream)
		return p.h2.WriteRSTStream(a.stream, code) == nil
	}
}

func TestRefusedStreamIsOpenedAgainAlsoForPOST(t *testing.T) {
	for name, test := range map[string]struct {
		try
		want    outcome
		arrived int
		fault   bool // net/http does otherwise
	}{
		"GET":                   {try: try{method: "GET"}, want: answered, arrived: 2},
		"POST":                  {try: try{method: "POST", body: small(), again: true}, want: answered, arrived: 2},
		"POST, body read":       {try: try{method: "POST", body: small()}, want: failed, arrived: 1},
		"POST, body not wanted": {try: try{method: "POST", body: small(), header: http.Header{"Expect": {"100-continue"}}}, want: answered, arrived: 2, fault: true},
	} {
		t.Run(name, func(t *testing.T) {
			c := test.try
			c.fate = func(p *peer) bool {
				a, err := p.head()
				if err == nil && a.header.Get("Expect") == "" {
					err = p.body(a, window)
				}
				return err == nil && p.h2.WriteRSTStream(a.stream, http2.ErrCodeRefusedStream) == nil
			}
			c.tune = func(tmpl *http.Transport) { tmpl.ExpectContinueTimeout = time.Hour }
			got := c.ours(t, "h2")
			got.want(t, test.want, test.arrived)
			if got.err != nil && !strings.Contains(got.err.Error(), "REFUSED_STREAM") {
				t.Errorf("error %v, want that the stream was refused", got.err)
			}
			if got.accepts != 1 {
				t.Errorf("%d connections were opened, want 1: it was the stream that was refused", got.accepts)
			}
			if base := c.theirs(t, "h2"); test.fault {
				got.void(t, base)
			}
		})
	}
}

// queue is a connection whose Write does not wait for the other side to read:
// over a bare net.Pipe two sides that both write wait for each other for ever.
type queue struct {
	net.Conn
	frames chan []byte // closed by the only goroutine that calls Write
}

func newQueue(c net.Conn) *queue {
	q := &queue{c, make(chan []byte, 1000)}
	go func() { // ends when frames is closed
		for f := range q.frames {
			c.Write(f)
		}
	}()
	return q
}

func (q *queue) Write(p []byte) (int, error) {
	q.frames <- bytes.Clone(p)
	return len(p), nil
}

func TestServerThatAlwaysRefusesIsAskedAsOftenAndAsSlowlyAsByNetHTTP(t *testing.T) {
	refusals := func(t *testing.T, wrap func(*http.Transport) http.RoundTripper) (times int, lasted time.Duration) {
		s := &peers{mode: "h2c", streams: 100, conns: make(map[net.Conn]bool), heads: make(map[string]int)}
		tmpl := s.template()
		tmpl.DialContext = func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			out := newQueue(there)
			go func() { // ends when the transport closes the connection
				defer close(out.frames)
				if p, err := s.greet(out, 0); err == nil {
					for resetStream(http2.ErrCodeRefusedStream)(p) {
					}
				}
			}()
			return here, nil
		}
		began := time.Now()
		_, err := wrap(tmpl).RoundTrip(httptest.NewRequest("GET", "http://server.test"+tryPath, nil))
		var maybe *transport.MaybeSentError
		if err == nil || errors.As(err, &maybe) {
			t.Errorf("error %v, want that the stream was refused", err)
		}
		return s.arrived(tryPath), time.Since(began)
	}
	synctest.Test(t, func(t *testing.T) {
		got, lasted := refusals(t, func(tmpl *http.Transport) http.RoundTripper {
			return newTransport(t, transport.Config{Template: tmpl})
		})
		want, lastedTheirs := refusals(t, func(tmpl *http.Transport) http.RoundTripper {
			t.Cleanup(tmpl.CloseIdleConnections)
			return tmpl
		})
		if got != want {
			t.Errorf("the request was sent %d times, want %d as with net/http", got, want)
		}
		// Both add up to a tenth at random.
		if lasted < lastedTheirs*9/10 || lasted > lastedTheirs*11/10 {
			t.Errorf("that took %v, want %v or so as with net/http", lasted, lastedTheirs)
		}
	})
}

func TestStreamResetByTheServerIsRetriedOnlyForWhatMayBeSentTwice(t *testing.T) {
	// golang/go#42777: some servers say PROTOCOL_ERROR for what they mean by
	// REFUSED_STREAM. It proves nothing, though.
	got := try{method: "GET", fate: resetStream(http2.ErrCodeProtocol)}.ours(t, "h2")
	got.want(t, answered, 2)

	c := try{method: "POST", body: small(), again: true, fate: resetStream(http2.ErrCodeProtocol)}
	got = c.ours(t, "h2")
	got.want(t, failed, 1)
	got.void(t, c.theirs(t, "h2")) // which sends the POST twice

	for _, method := range []string{"GET", "POST"} {
		try{method: method, fate: resetStream(http2.ErrCodeInternal)}.ours(t, "h2").want(t, failed, 1)
	}
}

func TestStreamsThatAGoAwayLeavesOutAreOpenedOnAnotherConnectionAndTheOthersGoOn(t *testing.T) {
	served := make(chan struct{})
	s := servePeers(t, "h2", func(p *peer) {
		if p.number > 0 {
			for answerOne(p) == nil {
			}
			return
		}
		defer close(served)
		answerOne(p)
		first, err1 := p.request()
		second, err2 := p.request()
		if err1 != nil || err2 != nil {
			return
		}
		p.goAway(first.stream)
		if p.server.arrived(second.path) == 1 {
			await(t, "the other stream on the next connection", func() bool { return p.server.arrived(second.path) == 2 })
		}
		p.answer(first, 200, digest(first.body))
	})
	tr := newTransport(t, transport.Config{Template: s.template()})
	mustGet(t, &http.Client{Transport: tr}, s.url)
	post := func(path string) error {
		req, _ := http.NewRequest("POST", s.url+path, nil)
		body := small()
		body.attach(req, true)
		resp, err := tr.RoundTrip(req)
		body.checkClosed(t, err != nil)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if got, _ := io.ReadAll(resp.Body); string(got) != digest(body.data) {
			return fmt.Errorf("answered %q", got)
		}
		return nil
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := post("/first"); err != nil {
			t.Errorf("the stream that the GOAWAY includes: %v", err)
		}
	})
	await(t, "the first stream", func() bool { return s.arrived("/first") == 1 })
	if err := post("/second"); err != nil {
		t.Errorf("the stream that the GOAWAY leaves out: %v", err)
	}
	wg.Wait()
	<-served
	if first, second := s.arrived("/first"), s.arrived("/second"); first != 1 || second != 2 {
		t.Errorf("the requests arrived %d and %d times, want 1 and 2", first, second)
	}
}

func TestStreamsOfALostConnectionAreRetriedOrReportedEachByItsOwnRight(t *testing.T) {
	const each = 4
	kinds := map[string]outcome{"get": answered, "key": answered, "post": maybeSent}
	s := servePeers(t, "h2", func(p *peer) {
		answerOne(p)
		if p.number > 0 {
			for answerOne(p) == nil {
			}
			return
		}
		for range each * len(kinds) {
			if _, err := p.request(); err != nil {
				return
			}
		}
		p.reset()
	})
	tr := newTransport(t, transport.Config{Template: s.template(), MaxDialsPerHost: 1})
	mustGet(t, &http.Client{Transport: tr}, s.url)
	var wg sync.WaitGroup
	for kind, want := range kinds {
		for i := range each {
			wg.Go(func() {
				method := "POST"
				if kind == "get" {
					method = "GET"
				}
				path := fmt.Sprintf("/%s/%d", kind, i)
				req, _ := http.NewRequest(method, s.url+path, nil)
				if kind == "key" {
					req.Header.Set("Idempotency-Key", path)
				}
				resp, err := tr.RoundTrip(req)
				got, arrived := answered, 2
				var maybe *transport.MaybeSentError
				switch {
				case err == nil:
					resp.Body.Close()
				case errors.As(err, &maybe):
					got, arrived = maybeSent, 1
				default:
					got = failed
				}
				if got != want || s.arrived(path) != arrived {
					t.Errorf("%s: %s (%v) after %d arrivals, want: %s after %d", path, got, err, s.arrived(path), want, arrived)
				}
			})
		}
	}
	wg.Wait()
}
