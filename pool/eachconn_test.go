package pool

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
)

// manyConns is a pool with n idle connections for each of some keys, and what the
// connections' handles are.
func manyConns(tb testing.TB, n, keys int) (p *Pool[int, int], handles *sync.Map) {
	tb.Helper()
	var dialed atomic.Int64
	handles = new(sync.Map)
	p, err := New(Config[int, int]{
		Dial: func(_ context.Context, _ int, c *Conn[int, int]) (int, int, error) {
			id := int(dialed.Add(1))
			handles.Store(id, c)
			return id, 1, nil
		},
		Close: func(int, Reason) {}, IdleWindow: -1,
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { p.Close() })
	for key := range keys {
		if err := p.Warm(context.Background(), key, n); err != nil {
			tb.Fatal(err)
		}
	}
	return p, handles
}

func TestEveryConnectionIsListedOnceHoweverMany(t *testing.T) {
	for _, c := range []struct{ conns, keys int }{{0, 0}, {1, 1}, {1, stretch}, {stretch, 1}, {stretch + 1, 2}, {3, 3 * stretch}, {10 * stretch, 1}} {
		p, _ := manyConns(t, c.conns, c.keys)
		times := make(map[int]int)
		p.EachConn(func(id, leases int) { times[id] += 1 + leases })
		for id, n := range times {
			if n != 1 {
				t.Errorf("%d connections for %d keys: got number %d %d times, want once, without a lease", c.conns, c.keys, id, n)
			}
		}
		if got, want := len(times), c.conns*c.keys; got != want {
			t.Errorf("%d connections for %d keys: got %d, want %d", c.conns, c.keys, got, want)
		}
	}
}

func TestEachConnHoldsNobodyUp(t *testing.T) {
	p, handles := manyConns(t, 5*stretch, 1)
	listed := 0
	p.EachConn(func(first, _ int) {
		if listed++; listed > 1 {
			return
		}
		handles.Range(func(id, c any) bool {
			if id != first {
				c.(*Conn[int, int]).Retire("test")
			}
			return true
		})
	})
	// The rest of the first stretch was seen before it went.
	if listed > stretch {
		t.Errorf("got %d connections, want %d at most: what goes before its turn is left out", listed, stretch)
	}
}

func TestEachConnThatIsLeftEarlyLeavesNothingBehind(t *testing.T) {
	p, _ := manyConns(t, 2*stretch, 2)
	for range 3 {
		func() {
			defer func() { recover() }()
			p.EachConn(func(int, int) { panic("f") })
		}()
	}
	var outer, inner int
	p.EachConn(func(int, int) {
		if outer++; outer == stretch/2 {
			p.EachConn(func(int, int) { inner++ })
		}
	})
	if want := 4 * stretch; outer != want || inner != want {
		t.Errorf("one in the other: got %d and %d connections, want %d each", outer, inner, want)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if got := p.met.n; got != 2 {
		t.Errorf("got %d entries, want those of the 2 keys", got)
	}
	for key, o := range p.origins {
		if got := o.conns.n; got != o.open {
			t.Errorf("key %d: got %d entries, want those of the %d connections", key, got, o.open)
		}
	}
}

// TestEachConnGoesOnWhileConnectionsComeAndGo is for the race detector, and for
// the end of the pass although there is always one connection more.
func TestEachConnGoesOnWhileConnectionsComeAndGo(t *testing.T) {
	const stay = 3 * stretch
	p, _ := manyConns(t, stay, 1)
	var stop atomic.Bool
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for n := 0; !stop.Load(); n++ {
				if err := p.Warm(context.Background(), n%2, stay+4); err != nil {
					t.Error(err)
					return
				}
				l, err := p.Get(context.Background(), n%2)
				if err != nil {
					t.Error(err)
					return
				}
				if l.Value() > stay {
					l.Retire("test")
				} else {
					l.Release()
				}
			}
		})
	}
	for range 30 {
		seen := make(map[int]bool)
		old := 0
		p.EachConn(func(id, _ int) {
			if seen[id] {
				t.Errorf("number %d comes twice", id)
			}
			seen[id] = true
			if id <= stay {
				old++
			}
		})
		if old != stay {
			t.Errorf("got %d of the connections that stay, want all %d", old, stay)
		}
	}
	stop.Store(true)
	workers.Wait()
}
