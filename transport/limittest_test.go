package transport

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/pool"
)

// limited is a transport that has learned wrongly that a server ends connections
// after so many requests, and what the server's connections have served.
type limited struct {
	t      *testing.T
	tr     *Transport
	server *httptest.Server
	req    *http.Request
	lesson *lesson

	mu     sync.Mutex     // guards served
	served map[string]int // by the client's address
}

func newLimited(t *testing.T, limit int, cfg Config) *limited {
	r := &limited{t: t, served: make(map[string]int)}
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.served[req.RemoteAddr]++
	}))
	t.Cleanup(s.Close)
	r.server = s
	var err error
	if r.tr, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.tr.Close() })
	r.req, _ = http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
	o, err := r.tr.originOf(r.req)
	if err != nil {
		t.Fatal(err)
	}
	r.lesson = r.tr.lessons.of(o)
	for i := range closesToLearn {
		r.lesson.closed(time.Now().Add(time.Duration(i)*time.Minute), 0, limit)
	}
	if got := r.limit(); got != limit {
		t.Fatalf("got a limit of %d, want %d", got, limit)
	}
	return r
}

func (r *limited) limit() int {
	_, n := r.lesson.limits()
	return n
}

// send sends n requests, one after the other.
func (r *limited) send(n int) {
	for range n {
		resp, err := r.tr.RoundTrip(r.req.Clone(r.t.Context()))
		if err != nil {
			r.t.Error(err)
			return
		}
		resp.Body.Close()
	}
}

// most is how many requests a connection has served at most.
func (r *limited) most() (most int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.served {
		most = max(most, n)
	}
	return most
}

func TestALearnedRequestLimitThatIsNoneIsForgotten(t *testing.T) {
	const limit = 3
	r := newLimited(t, limit, Config{Template: &http.Transport{IdleConnTimeout: 2 * time.Second}})
	r.send((testEvery + 1) * limit)
	if n := r.most(); n > limit && r.limit() > 0 {
		t.Errorf("a connection has served %d requests, want %d at most", n, limit)
	}
	for end := time.Now().Add(20 * time.Second); r.limit() > 0; {
		if time.Now().After(end) {
			t.Fatalf("after %d connections that no limit has ended: it is still %d", testEvery, r.limit())
		}
		<-time.After(10 * time.Millisecond)
	}
}

func TestAConnectionThatTestsARequestLimitIsNotGivenToWhoWaits(t *testing.T) {
	const limit = 3
	r := newLimited(t, limit, Config{MaxConnsPerHost: 1})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { r.send(3 * testEvery / 2 * limit / 4) }) // enough for one test
	}
	wg.Wait()
	if n := r.most(); n > limit {
		t.Errorf("a connection has served %d requests, want %d at most", n, limit)
	}
}

func TestARequestLimitThatIsNoneIsForgottenWhereNoPlaceIsFree(t *testing.T) {
	for name, cfg := range map[string]Config{"per host": {MaxConnsPerHost: 1}, "in all": {MaxConns: 1}} {
		t.Run(name, func(t *testing.T) {
			const limit = 3
			r := newLimited(t, limit, cfg)
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() { r.send(4 * testEvery * limit / 4) })
			}
			wg.Wait()
			if got := r.limit(); got != 0 {
				t.Errorf("after %d connections that no limit has ended: it is still %d", 4*testEvery, got)
			}
		})
	}
}

// closing is a handler that closes connections after so many requests without
// saying so, and counts the requests that it answers.
type closing struct {
	limit int

	mu       sync.Mutex // guards the rest
	served   map[string]int
	answered int
}

func (s *closing) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	s.mu.Lock()
	s.served[req.RemoteAddr]++
	n := s.served[req.RemoteAddr]
	s.answered++
	s.mu.Unlock()
	if n < s.limit {
		return
	}
	c, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	// Late, for a request that is on its way to be lost.
	c.SetReadDeadline(time.Now().Add(withLast / 2))
	c.Read(make([]byte, 1))
	c.Close()
}

func TestARequestLimitThatStandsIsTestedByNoRequestThatCouldFail(t *testing.T) {
	const limit, senders = 3, 4
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		t.Run(method, func(t *testing.T) {
			r := newLimited(t, limit, Config{MaxConnsPerHost: 1})
			s := &closing{limit: limit, served: make(map[string]int)}
			r.server.Config.Handler = s
			r.req.Method = method
			var wg sync.WaitGroup
			for range senders {
				wg.Go(func() { r.send(5 * testEvery * limit / senders) })
			}
			wg.Wait()
			if got, want := s.answered, 5*testEvery*limit; got != want {
				t.Errorf("the server has answered %d requests, want %d", got, want)
			}
			if got := r.limit(); got != limit {
				t.Errorf("the limit is %d, want %d, which the server has", got, limit)
			}
			if r.tr.Stats().Failed > 0 {
				t.Errorf("%d requests have failed", r.tr.Stats().Failed)
			}
		})
	}
}

func TestALimitIsRefutedByWhateverEndsAConnectionHereThatOutlivedIt(t *testing.T) {
	for why, want := range map[reason]int{
		reasonIdle: 0, reason(pool.Surplus): 0, reason(pool.Evicted): 0, reason(pool.IdleLimit): 0, reason(pool.MaxAge): 0,
		reasonUnasked: 3, reasonBroken: 3, // those may be the peer's end
	} {
		l := lifetime{lesson: new(lesson), epoch: time.Now().Add(-time.Hour)}
		for i := range closesToLearn {
			l.lesson.closed(time.Now().Add(time.Duration(i)*time.Minute), 0, 3)
		}
		l.exchanges.Store(3)
		l.idleSince.Store(l.now() - int64(2*oneMoment))
		l.ended(why)
		if _, got := l.lesson.limits(); got != want {
			t.Errorf("%s: the limit is %d, want %d", why, got, want)
		}
	}
}
