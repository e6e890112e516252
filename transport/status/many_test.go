package status_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/transport"
	"github.com/stayopen-go/stayopen/transport/status"
)

// underLoad has workers send requests to n hosts until the end of the test.
func underLoad(tb testing.TB, r *rig, n int) {
	tb.Helper()
	for i := range n {
		if !r.send(tb, host(i)) {
			tb.Fatal("no answer")
		}
	}
	var stop atomic.Bool
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for !stop.Load() {
				r.send(tb, host(rand.IntN(n)))
			}
		})
	}
	tb.Cleanup(func() {
		stop.Store(true)
		workers.Wait()
	})
}

func host(i int) string { return fmt.Sprintf("host-%d.example:80", i) }

// view asks for a page or JSON whose figures are read for it, and returns how long
// that took.
func view(tb testing.TB, r *rig, target string) time.Duration {
	tb.Helper()
	page := newPage(tb, status.Config{Transports: []*transport.Transport{r.tr}, Interval: -1, WithoutHost: true})
	began := time.Now()
	w := get(page, target)
	took := time.Since(began)
	if w.Code != 200 || w.Body.Len() < 40_000 && target != "/" {
		tb.Fatalf("%s: got %d with %d bytes, want all origins", target, w.Code, w.Body.Len())
	}
	return took
}

// How long it takes is logged: that is the machine's doing, and the benchmark's to
// measure. The load must not stand still for as long as a view takes.
func TestRequestsGoOnWhileAThousandOriginsAreRendered(t *testing.T) {
	r := newRig(t, status.Config{WithoutHost: true})
	underLoad(t, r, 1000)
	for _, target := range []string{"/?limit=1000", "/?limit=1000&format=json"} {
		var took []time.Duration
		before := r.tr.Stats().Exchanges
		for range 3 {
			took = append(took, view(t, r, target))
		}
		meanwhile := r.tr.Stats().Exchanges - before
		t.Logf("%s: %v; %d requests meanwhile", target, took, meanwhile)
		if meanwhile == 0 {
			t.Errorf("%s: got no request answered during 3 views, want that they go on", target)
		}
	}
}

// BenchmarkView is the time from a request for the page to its last byte in
// memory, with as many origins in use and four callers that send requests.
func BenchmarkView(b *testing.B) {
	for _, n := range []int{100, 1000} {
		r := newRig(b, status.Config{WithoutHost: true})
		underLoad(b, r, n)
		for name, target := range map[string]string{"page": "/", "page_all": "/?limit=10000", "json_all": "/?limit=10000&format=json"} {
			b.Run(fmt.Sprintf("what=%s/origins=%d", name, n), func(b *testing.B) {
				for b.Loop() {
					view(b, r, target)
				}
			})
		}
	}
}
