package pool

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"
)

func TestGetTakesTheMostRecentlyUsedConnection(t *testing.T) {
	inBubble(t, Config[string, *wire]{}, func(r *rig) {
		r.open("a", 3)
		first, second, third := r.get("a").leased(), r.get("a").leased(), r.get("a").leased()
		// open gave back wire 1 last.
		for i, l := range []*Lease[string, *wire]{first, second, third} {
			if got, want := l.Value().id, i+1; got != want {
				t.Errorf("Get %d: got wire %d, want %d, the most recently used", i+1, got, want)
			}
		}
		second.Release()
		third.Release()
		first.Release()
		second2 := r.get("a").leased()
		if got := second2.Value().id; got != 1 {
			t.Errorf("Get: got wire %d, want 1, which was released last", got)
		}
	})
}

func TestGetSharesAConnectionWithSeveralSlots(t *testing.T) {
	inBubble(t, Config[string, *wire]{}, func(r *rig) {
		g := r.get("a")
		w := r.oneDial().succeed(3)
		leases := []*Lease[string, *wire]{g.leased(), r.get("a").leased(), r.get("a").leased()}
		for i, l := range leases {
			if l.Value() != w {
				t.Errorf("lease %d: got %v, want %v, which has three slots", i, l.Value(), w)
			}
			if got, want := l.Fresh(), i == 0; got != want {
				t.Errorf("lease %d: Fresh is %v, want %v", i, got, want)
			}
			if _, idle := l.Idle(); idle {
				t.Errorf("lease %d: Idle is true for a connection in use", i)
			}
		}
		fourth := r.get("a")
		if !fourth.waits() || len(r.dials()) != 1 {
			t.Error("a fourth Get on three slots neither waits nor dials")
		}
		leases[1].Release()
		if fourth.leased().Value() != w {
			t.Error("the freed slot did not go to the waiter")
		}
	})
}

func TestReleaseMakesASharedConnectionTheMostRecentlyUsed(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxPerKey: 2}, func(r *rig) {
		gets := r.gets("a", 2)
		calls := r.dials()
		older, newer := calls[0].succeed(3), calls[1].succeed(3)
		gets[0].leased()
		l := r.get("a").leased()
		gets[1].leased()
		if l.Value() != newer {
			t.Fatalf("Get: got %v, want %v, which was opened last", l.Value(), newer)
		}
		gets[0].leased().Release()
		if got := r.get("a").leased().Value(); got != older {
			t.Errorf("Get: got %v, want %v, which was released last", got, older)
		}
	})
}

func TestGetFailsIfItsContextHasEndedEvenWithAConnectionFree(t *testing.T) {
	inBubble(t, Config[string, *wire]{}, func(r *rig) {
		r.open("a", 1)
		cause := errors.New("the caller left")
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(cause)
		if l, err := r.pool.Get(ctx, "a"); l != nil || err != cause {
			t.Errorf("Get: got %v, %v, want the context's cause", l, err)
		}
		r.wantStats(Stats{Open: 1, Idle: 1})
	})
}

func TestGetHitAllocatesTheLeaseOnly(t *testing.T) {
	cfg := Config[string, *wire]{
		Dial: func(context.Context, string, *Conn[string, *wire]) (*wire, int, error) {
			return &wire{}, 1, nil
		},
		Close:       func(*wire, Reason) {},
		DialAlone:   func(string) bool { return true },
		IdleTimeout: time.Minute,
		MaxAge:      time.Hour,
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	ctx := context.Background()
	if l, err := p.Get(ctx, "b"); err == nil {
		l.Retire("test")
	} // a close in the past must not cost anything
	got := testing.AllocsPerRun(1000, func() {
		l, err := p.Get(ctx, "a")
		if err != nil {
			t.Fatal(err)
		}
		l.Release()
	})
	if got > 1 {
		t.Errorf("Get and Release on a hit: got %v allocations, want 1, the lease", got)
	}
}

func TestStatsAndEachCountTheSame(t *testing.T) {
	inBubble(t, Config[string, *wire]{}, func(r *rig) {
		r.open("a", 2)
		r.get("a").leased()
		r.open("b", 1)
		r.get("c")
		r.get("c")
		want := map[string]Stats{
			"a": {Open: 2, Idle: 1, Leases: 1},
			"b": {Open: 1, Idle: 1},
			"c": {Dialing: 2, Waiting: 2},
		}
		got := make(map[string]Stats)
		r.pool.Each(func(key string, s Stats) {
			got[key] = s
			r.pool.Stats() // would deadlock if Each held the mutex
		})
		if !maps.Equal(got, want) {
			t.Errorf("Each: got %+v, want %+v", got, want)
		}
		r.wantStats(Stats{Open: 3, Idle: 2, Leases: 1, Dialing: 2, Waiting: 2})
	})
}

func TestAKeyWithNothingLeftIsForgotten(t *testing.T) {
	boom := errors.New("boom")
	for name, end := range map[string]func(r *rig){
		"dial failed":     func(r *rig) { r.get("a"); r.oneDial().fail(boom) },
		"closed":          func(r *rig) { r.open("a", 1); r.pool.CloseIdle() },
		"retired":         func(r *rig) { r.open("a", 1)[0].pc.Retire("test") },
		"gone":            func(r *rig) { r.open("a", 1)[0].pc.Gone() },
		"detached":        func(r *rig) { r.open("a", 1); r.get("a").leased().Detach() },
		"gone in dialing": func(r *rig) { r.get("a").leave(nil); r.oneDial().pc.Gone(); r.oneDial().succeed(1) },
		"expired, then the waiter left": func(r *rig) {
			r.open("a", 1)
			pass(time.Minute)
			r.get("a").leave(nil)
			r.oneDial().fail(boom)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Config[string, *wire]{IdleTimeout: time.Minute}, func(r *rig) {
				end(r)
				synctest.Wait()
				inside(r, func(p *Pool[string, *wire]) any {
					if n := len(p.origins); n != 0 {
						t.Errorf("keys known: got %d, want 0", n)
					}
					if p.armed {
						t.Error("the timer runs although nothing is idle")
					}
					if n := len(p.dues); n != 0 {
						t.Errorf("connections in the heap: got %d, want 0", n)
					}
					return nil
				})
			})
		})
	}
}

func TestADroppedEmptyPoolIsCollected(t *testing.T) {
	dropped := func() weak.Pointer[Pool[string, *wire]] {
		p, err := New(Config[string, *wire]{
			Dial: func(context.Context, string, *Conn[string, *wire]) (*wire, int, error) {
				return &wire{}, 1, nil
			},
			Close:       func(*wire, Reason) {},
			IdleTimeout: time.Hour,
		})
		if err != nil {
			t.Fatal(err)
		}
		l, err := p.Get(context.Background(), "a")
		if err != nil {
			t.Fatal(err)
		}
		l.Release() // arms the timer
		p.CloseIdle()
		return weak.Make(p)
	}()
	deadline := time.Now().Add(time.Minute)
	for dropped.Value() != nil {
		if time.Now().After(deadline) {
			t.Fatal("the pool is still reachable after it was emptied and dropped")
		}
		runtime.GC()
	}
}

func TestManyKeysAndGoroutinesNeverExceedTheLimitsNorGetStuck(t *testing.T) {
	const (
		workers, rounds, keys = 64, 300, 5
		perKey, total, dials  = 6, 12, 3
	)
	for _, slots := range []int{1, 3} {
		t.Run(fmt.Sprintf("slots=%d", slots), func(t *testing.T) {
			s := newStress(t, Config[int, *used]{
				MaxPerKey: perKey, MaxTotal: total, MaxDialsPerKey: dials, MaxIdlePerKey: 3, MaxIdle: 7,
				IdleTimeout: 300 * time.Millisecond, MaxAge: 400 * time.Millisecond,
				DialAlone: func(key int) bool { return key%2 == 0 },
			}, slots)
			s.run(workers, rounds, keys)
		})
	}
}
