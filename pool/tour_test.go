package pool

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestAllVisitsTheKeysThatEachDoes(t *testing.T) {
	inBubble(t, Config[string, *wire]{}, func(r *rig) {
		r.open("a", 2)
		r.get("a").leased()
		r.open("b", 1)
		r.get("c")
		r.get("c")
		want := make(map[string]Stats)
		r.pool.Each(func(key string, s Stats) { want[key] = s })
		got := make(map[string]Stats)
		var order []string
		for key, s := range r.pool.All() {
			got[key] = s
			order = append(order, key)
			r.pool.Stats() // would deadlock if All held the mutex
		}
		if !maps.Equal(got, want) {
			t.Errorf("All: got %+v, want %+v", got, want)
		}
		if want := []string{"a", "b", "c"}; !slices.Equal(order, want) {
			t.Errorf("All: got the order %q, want that of their coming, %q", order, want)
		}
	})
}

func TestKeysThatComeAndGoDoNotDisturbAll(t *testing.T) {
	inBubble(t, Config[string, *wire]{}, func(r *rig) {
		conns := make(map[string]*wire)
		for _, key := range []string{"a", "b", "c", "d"} {
			conns[key] = r.open(key, 1)[0]
		}
		var got []string
		for key := range r.pool.All() {
			got = append(got, key)
			switch key {
			case "a":
				conns["a"].pc.Retire("test") // the one that is visited
				conns["b"].pc.Retire("test") // the next
				r.open("b", 1)               // comes again, behind the end
				r.open("e", 1)
			case "c":
				for key := range r.pool.All() { // one in the other
					got = append(got, "inner "+key)
				}
			}
		}
		want := []string{"a", "c", "inner c", "inner d", "inner b", "inner e", "d"}
		if !slices.Equal(got, want) {
			t.Errorf("All: got %q, want %q: what comes later is left out, and nothing is visited twice", got, want)
		}
	})
}

func TestAllThatIsLeftEarlyLeavesNothingBehind(t *testing.T) {
	inBubble(t, Config[string, *wire]{}, func(r *rig) {
		r.open("a", 1)
		r.open("b", 1)
		for range r.pool.All() {
			break
		}
		func() {
			defer func() { recover() }()
			for range r.pool.All() {
				panic("the loop's body")
			}
		}()
		r.pool.mu.Lock()
		defer r.pool.mu.Unlock()
		if got := r.pool.met.n; got != 2 {
			t.Errorf("got %d entries, want those of the 2 keys", got)
		}
	})
}

// TestAllGoesOnWhileKeysComeAndGo is for the race detector, and for the end of
// the loop although there is always one key more.
func TestAllGoesOnWhileKeysComeAndGo(t *testing.T) {
	p := manyKeys(t, 100)
	var stop atomic.Bool
	var workers sync.WaitGroup
	for w := range 4 {
		workers.Go(func() {
			for n := 0; !stop.Load(); n++ {
				l, err := p.Get(context.Background(), 1000+n*4+w)
				if err != nil {
					t.Error(err)
					return
				}
				l.Retire("test")
			}
		})
	}
	for range 50 {
		n := 0
		for key := range p.All() {
			if key < 1000 {
				n++
			}
		}
		if n != 100 {
			t.Errorf("got %d of the keys that stay, want all 100", n)
		}
	}
	stop.Store(true)
	workers.Wait()
}

// manyKeys is a pool with an idle connection for each of n keys.
func manyKeys(tb testing.TB, n int) *Pool[int, int] {
	tb.Helper()
	p, err := New(Config[int, int]{
		Dial:  func(context.Context, int, *Conn[int, int]) (int, int, error) { return 0, 1, nil },
		Close: func(int, Reason) {},
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { p.Close() })
	for key := range n {
		l, err := p.Get(context.Background(), key)
		if err != nil {
			tb.Fatal(err)
		}
		l.Release()
	}
	return p
}

// BenchmarkLooking is how long a look at all keys or connections takes, for which
// share of that time it keeps the mutex from somebody who wants it, waits of more
// than 50 µs counted, and the longest of those waits. Without a look they are the
// machine's own doing.
func BenchmarkLooking(b *testing.B) {
	for _, keys := range []int{1_000, 10_000, 100_000} {
		p := manyKeys(b, keys)
		for name, look := range map[string]func(){
			"none": func() { <-time.After(time.Duration(keys) * 150) },
			"each": func() { p.Each(func(int, Stats) {}) },
			"all": func() {
				for range p.All() {
				}
			},
			"conns": func() { p.EachConn(func(int, int) {}) },
		} {
			b.Run("how="+name+"/keys="+strconv.Itoa(keys), func(b *testing.B) {
				var waited, longest time.Duration
				for b.Loop() {
					sum, most := longWaits(p, look)
					waited, longest = waited+sum, longest+most
				}
				b.ReportMetric(100*float64(waited)/float64(b.Elapsed()), "%-waiting")
				b.ReportMetric(float64(longest.Microseconds())/float64(b.N), "µs-longest")
			})
		}
	}
}

// longWaits adds up the times for which the mutex could not be had while look ran,
// and says which was the longest.
func longWaits(p *Pool[int, int], look func()) (waited, longest time.Duration) {
	done := make(chan struct{})
	go func() {
		look()
		close(done)
	}()
	for {
		began := time.Now()
		p.Stats()
		if d := time.Since(began); d > 50*time.Microsecond {
			waited += d
			longest = max(longest, d)
		}
		select {
		case <-done:
			return waited, longest
		default:
		}
	}
}
