package main

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// scripted is a RoundTripper whose upstreams do as the test says.
type scripted struct {
	do   map[string]string // by host: refuse, lose, late, or a status
	sent []string          // hosts, in the order in which they were asked
}

func (s *scripted) RoundTrip(r *http.Request) (*http.Response, error) {
	s.sent = append(s.sent, r.URL.Host)
	do := s.do[r.URL.Host]
	if do == "refuse" {
		return nil, errors.New("connection refused")
	}
	httptrace.ContextClientTrace(r.Context()).GotConn(httptrace.GotConnInfo{})
	switch do {
	case "lose":
		return nil, io.ErrUnexpectedEOF
	case "late":
		return nil, timeoutError{}
	case "502":
		return response(r, 502), nil
	}
	return response(r, 200), nil
}

type timeoutError struct{}

func (timeoutError) Error() string   { return "too late" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

func response(r *http.Request, status int) *http.Response {
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: http.Header{}, Body: http.NoBody, Request: r, ProtoMajor: 1, ProtoMinor: 1}
}

// play makes a proxy with the upstreams a, b and so on, that do as they are told.
func play(t *testing.T, balance string, do ...string) (*proxy, *balancer, *scripted) {
	t.Helper()
	args := []string{"-balance=" + balance}
	s := &scripted{do: map[string]string{}}
	for i, what := range do {
		host := string(rune('a' + i))
		args = append(args, "-upstream=http://"+host)
		s.do[host] = what
	}
	o, err := parseOptions(args)
	if err != nil {
		t.Fatal(err)
	}
	l := newLogger(io.Discard)
	b := newBalancer(o, s, l)
	return newProxy(b, l), b, s
}

// ask sends a request and returns the answer, and which upstreams were asked.
func (s *scripted) ask(p *proxy, method, body string) (*httptest.ResponseRecorder, string) {
	s.sent = nil
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequest(method, "http://proxy/", strings.NewReader(body)))
	return w, strings.Join(s.sent, "")
}

func TestWhatHappensToARequestThatAnUpstreamDoesNotAnswer(t *testing.T) {
	for _, tc := range []struct {
		a, b         string // what the upstreams do
		method, body string
		status       int
		asked        string
		failed       int64  // requests with an answer of the proxy's own
		states       string // of a and b afterwards
	}{
		{"refuse", "200", "GET", "", 200, "ab", 0, "set aside, up"},
		{"refuse", "200", "POST", "body", 200, "ab", 0, "set aside, up"}, // it did not leave
		{"refuse", "refuse", "GET", "", 502, "ab", 1, "set aside, set aside"},
		{"lose", "200", "GET", "", 200, "ab", 0, "up, up"},
		{"lose", "lose", "GET", "", 502, "ab", 1, "up, up"},
		{"lose", "200", "GET", "body", 502, "a", 1, "up, up"},
		{"lose", "200", "POST", "", 502, "a", 1, "up, up"},
		{"lose", "200", "POST", "body", 502, "a", 1, "up, up"},
		{"late", "200", "GET", "", 504, "a", 1, "up, up"},
		{"502", "200", "GET", "", 200, "ab", 0, "set aside, up"},
		{"502", "200", "POST", "body", 502, "a", 0, "set aside, up"},
		{"502", "502", "GET", "", 502, "ab", 0, "set aside, up"}, // the last one stays
	} {
		p, b, s := play(t, roundRobin, tc.a, tc.b)
		w, asked := s.ask(p, tc.method, tc.body)
		var states []string
		for _, u := range b.status() {
			states = append(states, u.State)
		}
		if got := strings.Join(states, ", "); w.Code != tc.status || asked != tc.asked || got != tc.states {
			t.Errorf("%+v: got %d from %q, then %s", tc, w.Code, asked, got)
		}
		for _, u := range b.status() {
			if u.Running != 0 {
				t.Errorf("%+v: %s has %d running requests afterwards, want none", tc, u.URL, u.Running)
			}
		}
		n := p.requests.counts()
		if n.Failed != tc.failed || n.Repeated != int64(len(asked)-1) {
			t.Errorf("%+v: got %+v", tc, n)
		}
	}
}

func TestPausesGrowAndOneRequestTriesAfterEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, b, s := play(t, roundRobin, "refuse", "200")
		s.ask(p, "GET", "")
		for _, pause := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
			<-time.After(pause*time.Second - time.Millisecond)
			for range 4 {
				if _, asked := s.ask(p, "GET", ""); asked != "b" {
					t.Fatalf("before the end of a pause of %d s: asked %q, want b", pause, asked)
				}
			}
			<-time.After(time.Millisecond)
			u := b.pick(nil) // the one that tries
			if got := u.url.Host; got != "a" {
				t.Fatalf("after a pause of %d s: got %s, want a", pause, got)
			}
			if _, asked := s.ask(p, "GET", ""); asked != "b" {
				t.Errorf("while a request tries: asked %q, want b", asked)
			}
			b.setAside(u, time.Now(), false, "test")
			b.release(u, true)
		}
		s.do["a"] = "200"
		<-time.After(30 * time.Second)
		var all string
		for range 4 {
			_, asked := s.ask(p, "GET", "")
			all += asked
		}
		if all != "abab" {
			t.Errorf("when it is back: asked %q, want each in turn", all)
		}
	})
}

func TestFailuresThatWereUnderWayTogetherAreOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b, _ := play(t, roundRobin, "200", "200")
		began := time.Now()
		<-time.After(time.Millisecond)
		for range 100 {
			b.setAside(b.all[0], began, false, "test")
		}
		if got := b.status()[0].PauseSeconds; got != 1 {
			t.Errorf("got a pause of %v s, want 1", got)
		}
	})
}

func TestWithoutAnUpstreamTheAnswerSaysWhenToAskAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, b, s := play(t, leastLoaded, "refuse", "refuse")
		s.ask(p, "GET", "")
		<-time.After(time.Second)
		s.ask(p, "GET", "") // both fail again: 2 s
		<-time.After(100 * time.Millisecond)
		w, asked := s.ask(p, "POST", "body")
		if w.Code != 503 || asked != "" || w.Header().Get("Retry-After") != "2" {
			t.Errorf("got %d from %q, Retry-After %q, want 503 from nobody, 2", w.Code, asked, w.Header().Get("Retry-After"))
		}
		for _, u := range b.all {
			b.checked(u, errors.New("test"))
			b.checked(u, errors.New("test"))
		}
		if w, _ := s.ask(p, "GET", ""); w.Code != 503 || w.Header().Get("Retry-After") != "2" {
			t.Errorf("with all down: got %d, Retry-After %q, want 503 and the time between checks, 2", w.Code, w.Header().Get("Retry-After"))
		}
	})
}

func TestChecksTakeAnUpstreamOutAndBringItBack(t *testing.T) {
	_, b, _ := play(t, leastLoaded, "200", "200")
	u, bad := b.all[0], errors.New("test")
	state := func() string { return b.status()[0].State }
	for i, step := range []struct {
		do   func()
		want string
	}{
		{func() { b.checked(u, bad) }, "up"}, // one may be an accident
		{func() { b.checked(u, nil) }, "up"},
		{func() { b.checked(u, bad) }, "up"},
		{func() { b.checked(u, bad) }, "down"},
		{func() { b.answered(u) }, "down"},
		{func() { b.checked(u, nil) }, "up"},
		{func() { b.setAside(u, time.Now(), false, "no connection") }, "set aside"},
		{func() { b.checked(u, nil) }, "up"}, // there was a connection
		{func() { b.setAside(u, time.Now(), true, "502") }, "set aside"},
		{func() { b.checked(u, nil) }, "set aside"}, // checks say nothing about other answers
		{func() { b.connected(u) }, "set aside"},
		{func() { b.answered(u) }, "up"},
	} {
		if step.do(); state() != step.want {
			t.Errorf("step %d: got %q, want %q", i, state(), step.want)
		}
	}
}

func TestTheLeastLoadedUpstreamIsNextAndEqualsTakeTurns(t *testing.T) {
	_, b, _ := play(t, leastLoaded, "200", "200", "200")
	var got string
	var held []*upstream
	for range 6 {
		held = append(held, b.pick(nil))
		got += held[len(held)-1].url.Host
	}
	b.release(held[1], false)
	b.release(held[4], false)
	for range 3 {
		got += b.pick(nil).url.Host
	}
	if got[:6] != "abcabc" || got[6:8] != "bb" {
		t.Errorf("got %q, want abcabc, and then b until it has as many", got)
	}
}
