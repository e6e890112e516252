package pool

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// warm starts a Warm and returns what will get its answer.
func (r *rig) warm(ctx context.Context, key string, n int) chan error {
	done := make(chan error, 1)
	go func() { done <- r.pool.Warm(ctx, key, n) }() // ends with the Warm
	synctest.Wait()
	return done
}

// wantReturned checks what a Warm has returned.
func (r *rig) wantReturned(done chan error, want error) {
	r.t.Helper()
	synctest.Wait()
	select {
	case err := <-done:
		if !errors.Is(err, want) || err != nil && want == nil {
			r.t.Errorf("Warm: got %v, want %v", err, want)
		}
	default:
		r.t.Errorf("Warm has not returned, want %v", want)
	}
}

func TestWarmOpensConnectionsUntilThereAreEnough(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxDialsPerKey: 2}, func(r *rig) {
		r.open("a", 1)
		busy := r.get("a").leased() // counts, although it is in use
		done := r.warm(context.WithValue(context.Background(), ctxKey{}, "warm"), "a", 4)
		for range 3 {
			if len(done) > 0 {
				t.Error("Warm returned before there were enough")
			}
			call := r.dials()[0]
			if got := call.ctx.Value(ctxKey{}); got != "warm" {
				t.Errorf("the dial's context: got the values of %v, want those of Warm's", got)
			}
			if n := len(r.dials()); n > 2 {
				t.Errorf("dials at once: got %d, want at most 2", n)
			}
			call.succeed(1)
		}
		r.wantReturned(done, nil)
		r.wantStats(Stats{Open: 4, Idle: 3, Leases: 1})
		r.wantReturned(r.warm(context.Background(), "a", 4), nil)
		busy.Release()
	})
}

func TestWhatWarmOpensGoesToWhoWaits(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxDialsPerKey: 1}, func(r *rig) {
		done := r.warm(context.Background(), "a", 1)
		g := r.get("a")
		w := r.oneDial().succeed(1)
		if got := g.leased().Value(); got != w {
			t.Errorf("the waiter got %v, want %v", got, w)
		}
		r.wantReturned(done, nil)
		if n := len(r.dials()); n != 0 {
			t.Errorf("dials: got %d, want 0: one connection serves both", n)
		}
	})
}

func TestWarmReturnsTheFirstErrorAndNoWaiterGetsIt(t *testing.T) {
	boom := errors.New("boom")
	inBubble(t, Config[string, *wire]{MaxDialsPerKey: 1}, func(r *rig) {
		done := r.warm(context.Background(), "a", 3)
		g := r.get("a")
		r.oneDial().fail(boom)
		r.wantReturned(done, boom)
		if !g.waits() {
			t.Fatalf("the waiter got %v, want it to wait for a dial of its own", g.err)
		}
		r.oneDial().succeed(1)
		g.leased()
		if n := len(r.dials()); n != 0 {
			t.Errorf("dials after Warm has failed: got %d, want 0", n)
		}
	})
}

func TestWarmEndsWithItsContextThePoolAndCloseIdle(t *testing.T) {
	gone := errors.New("gone")
	for _, c := range []struct {
		name string
		want error
		end  func(r *rig, cancel context.CancelCauseFunc)
	}{
		{"context", gone, func(r *rig, cancel context.CancelCauseFunc) { cancel(gone) }},
		{"Close", ErrClosed, func(r *rig, _ context.CancelCauseFunc) { r.pool.Close() }},
		{"Shutdown", ErrClosed, func(r *rig, _ context.CancelCauseFunc) { r.pool.Shutdown(context.Background()) }},
		{"CloseIdle", context.Canceled, func(r *rig, _ context.CancelCauseFunc) { r.pool.CloseIdle() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, Config[string, *wire]{}, func(r *rig) {
				ctx, cancel := context.WithCancelCause(context.Background())
				done := r.warm(ctx, "a", 3)
				c.end(r, cancel)
				r.wantReturned(done, c.want)
				if c.want != gone {
					return
				}
				for _, call := range r.dials() { // what was started goes on
					call.succeed(1)
				}
				r.wantStats(Stats{Open: 3, Idle: 3})
			})
		})
	}
}

func TestWarmEvictsNothingAndReturnsAtTheLimits(t *testing.T) {
	for _, cfg := range []Config[string, *wire]{{MaxTotal: 3}, {MaxPerKey: 2}, {MaxIdlePerKey: 2}, {MaxIdle: 3}} {
		inBubble(t, cfg, func(r *rig) {
			other := r.open("b", 1)[0]
			done := r.warm(context.Background(), "a", 50)
			for range 2 {
				r.dials()[0].succeed(1)
			}
			r.wantReturned(done, nil)
			r.wantClosed(other)
			r.wantStats(Stats{Open: 3, Idle: 3})
		})
	}
}

// Another key's dials take all that may run: the Warm must go on when they end.
func TestWarmIsNotForgottenBehindTheDialsOfOthers(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxDials: 1}, func(r *rig) {
		g := r.get("b")
		done := r.warm(context.Background(), "a", 2)
		call := r.oneDial()
		if call.key != "b" {
			t.Fatalf("dial: for %q, want b", call.key)
		}
		call.succeed(1)
		g.leased()
		for range 2 {
			r.oneDial().succeed(1)
		}
		r.wantReturned(done, nil)
	})
}

func TestAKeyInUseKeepsItsMinimum(t *testing.T) {
	inBubble(t, Config[string, *wire]{MinPerKey: 3, IdleTimeout: time.Minute}, func(r *rig) {
		g := r.get("a")
		var wires []*wire
		for range 3 {
			wires = append(wires, r.dials()[0].succeed(1))
		}
		g.leased().Release()
		r.wantStats(Stats{Open: 3, Idle: 3})
		pass(time.Second)
		wires[0].pc.Gone()
		r.oneDial().succeed(1)
		r.wantStats(Stats{Open: 3, Idle: 3})
		// Not used any more, nothing is replaced.
		pass(10 * time.Minute)
		r.wantStats(Stats{})
	})
}

func TestWhatIsLostAgainAndAgainIsNotReplacedWithoutEnd(t *testing.T) {
	inBubble(t, Config[string, *wire]{MinPerKey: 2}, func(r *rig) {
		r.get("a")
		dials := 0
		for calls := r.dials(); len(calls) > 0 && dials < 1000; calls = r.dials() {
			dials++
			calls[0].succeed(1).pc.Gone()
		}
		if dials > 5 {
			t.Errorf("dials in a moment for a peer that closes at once: got %d, want at most 5", dials)
		}
	})
}

func TestADialThatFailsIsNotRepeatedForTheMinimum(t *testing.T) {
	inBubble(t, Config[string, *wire]{MinPerKey: 2}, func(r *rig) {
		w := r.open("a", 1)[0]
		for _, call := range r.dials() {
			call.fail(errors.New("boom"))
		}
		pass(time.Minute)
		if n := len(r.dials()); n != 0 {
			t.Errorf("dials after one that failed: got %d, want 0 until somebody comes", n)
		}
		r.wantClosed(w)
	})
}

func TestAnAgeingConnectionIsReplacedBeforeItIsRetired(t *testing.T) {
	inBubble(t, Config[string, *wire]{MinPerKey: 1, MaxAge: 100 * time.Second}, func(r *rig) {
		old := r.open("a", 1)[0]
		for len(r.dials()) == 0 {
			pass(100 * time.Millisecond)
			r.wantClosed(old)
			if len(old.closed) > 0 {
				t.Fatal("it was closed without a replacement")
			}
		}
		if got := r.get("a").leased(); got.Value() != old {
			t.Errorf("while its replacement is dialed: got %v, want %v", got.Value(), old)
		} else {
			got.Release()
		}
		young := r.oneDial().succeed(1)
		pass(11 * time.Second)
		r.wantClosed(old, MaxAge)
		r.wantClosed(young)
		r.wantStats(Stats{Open: 1, Idle: 1})
	})
}

func TestAConnectionThatIsToBeRetiredIsReplacedBefore(t *testing.T) {
	inBubble(t, Config[string, *wire]{MinPerKey: 1}, func(r *rig) {
		old := r.open("a", 1)[0]
		old.pc.Replace("moved")
		old.pc.Replace("moved")
		if got := r.get("a").leased(); got.Value() != old {
			t.Errorf("while its replacement is dialed: got %v, want %v", got.Value(), old)
		} else {
			got.Release()
		}
		young := r.oneDial().succeed(1)
		r.wantClosed(old)
		old.pc.Retire("moved")
		r.wantClosed(old, "moved")
		old.pc.Replace("moved")
		r.wantClosed(young)
		r.wantStats(Stats{Open: 1, Idle: 1})
	})
}

func TestWithoutAMinimumNothingIsReplaced(t *testing.T) {
	inBubble(t, Config[string, *wire]{}, func(r *rig) {
		r.open("a", 1)[0].pc.Replace("moved")
		r.wantStats(Stats{Open: 1, Idle: 1})
	})
}
