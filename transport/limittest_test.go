package transport

import (
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
		wg.Go(func() { r.send(2 * testEvery * limit / 4) })
	}
	wg.Wait()
	if n := r.most(); n > limit {
		t.Errorf("a connection has served %d requests, want %d at most", n, limit)
	}
}

func TestALimitIsRefutedByWhateverEndsAConnectionHereThatOutlivedIt(t *testing.T) {
	for why, want := range map[reason]int{
		reasonIdle: 0, reason(pool.Surplus): 0, reason(pool.Evicted): 0, reason(pool.IdleLimit): 0, reason(pool.MaxAge): 0,
		reasonUnasked: 3, reasonBroken: 3, // those may be the peer's end
	} {
		l := lifetime{lesson: new(lesson)}
		for i := range closesToLearn {
			l.lesson.closed(time.Now().Add(time.Duration(i)*time.Minute), 0, 3)
		}
		l.exchanges.Store(3)
		l.idleSince.Store(time.Now().Add(-2 * oneMoment).UnixNano())
		l.ended(why)
		if _, got := l.lesson.limits(); got != want {
			t.Errorf("%s: the limit is %d, want %d", why, got, want)
		}
	}
}
