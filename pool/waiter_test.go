package pool

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

func TestWaitersAreServedFirstComeFirstServed(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxPerKey: 1}, func(r *rig) {
		g := r.get("a")
		r.oneDial().succeed(1)
		waiting := r.gets("a", 5)
		l := g.leased()
		for i, w := range waiting {
			l.Release()
			l = w.leased()
			for j, later := range waiting[i+1:] {
				if !later.waits() {
					t.Fatalf("waiter %d was served before waiter %d", i+1+j, i+1)
				}
			}
		}
	})
}

func TestAWaiterGetsWhicheverComesFirst(t *testing.T) {
	t.Run("a freed slot", func(t *testing.T) {
		inBubble(t, Config[string, *wire]{}, func(r *rig) {
			w := r.open("a", 1)[0]
			l := r.get("a").leased()
			waiting := r.get("a")
			l.Release()
			if got := waiting.leased().Value(); got != w {
				t.Errorf("got %v, want %v, which was freed", got, w)
			}
			// Its dial belongs to the origin: it goes on, and what it opens is kept.
			spare := r.oneDial().succeed(1)
			r.wantStats(Stats{Open: 2, Idle: 1, Leases: 1})
			if got := r.get("a").leased().Value(); got != spare {
				t.Errorf("got %v, want %v, which was dialed", got, spare)
			}
		})
	})
	t.Run("a dialed connection", func(t *testing.T) {
		inBubble(t, Config[string, *wire]{}, func(r *rig) {
			r.open("a", 1)
			l := r.get("a").leased()
			waiting := r.get("a")
			w := r.oneDial().succeed(1)
			if got := waiting.leased().Value(); got != w {
				t.Errorf("got %v, want %v, which was dialed", got, w)
			}
			l.Release()
			r.wantStats(Stats{Open: 2, Idle: 1, Leases: 1})
		})
	})
	t.Run("another's dial", func(t *testing.T) {
		inBubble(t, Config[string, *wire]{}, func(r *rig) {
			first, second := r.get("a", "first"), r.get("a", "second")
			calls := r.dials()
			w := calls[1].succeed(1)
			if got := first.leased().Value(); got != w {
				t.Errorf("the older waiter got %v, want %v, whoever caused it", got, w)
			}
			if !second.waits() {
				t.Error("the younger waiter was served too")
			}
			calls[0].succeed(1)
			second.leased()
		})
	})
}

func TestAWaiterThatGivesUpLeavesNothingBehind(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxPerKey: 1}, func(r *rig) {
		cause := errors.New("the caller left")
		g := r.get("a")
		w := r.oneDial().succeed(1)
		leaves, stays := r.get("a"), r.get("a")
		leaves.leave(cause)
		leaves.failed(cause)
		r.wantStats(Stats{Open: 1, Leases: 1, Waiting: 1})
		g.leased().Release()
		if got := stays.leased().Value(); got != w {
			t.Errorf("the next waiter got %v, want %v", got, w)
		}
	})
}

func TestADialGoesOnWhenItsWaiterGivesUp(t *testing.T) {
	inBubble(t, Config[string, *wire]{}, func(r *rig) {
		g := r.get("a")
		g.leave(nil)
		g.failed(context.Canceled)
		call := r.oneDial()
		if err := call.ctx.Err(); err != nil {
			t.Errorf("the dial's context: got %v, want it untouched by the waiter's", err)
		}
		w := call.succeed(1)
		r.wantStats(Stats{Open: 1, Idle: 1})
		if l := r.get("a").leased(); l.Value() != w || l.Fresh() {
			t.Errorf("Get: got %v, fresh %v, want %v as kept", l.Value(), l.Fresh(), w)
		}
	})
}

// A slot is handed over in the moment in which the waiter's context ends. The
// scheduler decides which the waiter sees; neither may lose the slot.
func TestASlotHandedToAWaiterThatLeavesGoesBack(t *testing.T) {
	var left, served int
	for round := range 300 {
		inBubble(t, Config[string, *wire]{MaxPerKey: 1}, func(r *rig) {
			w := r.open("a", 1)[0]
			l := r.get("a").leased()
			leaves := r.get("a")
			if round%2 == 0 {
				go leaves.cancel(nil)
				go l.Release()
			} else {
				go l.Release()
				go leaves.cancel(nil)
			}
			synctest.Wait()
			switch {
			case leaves.waits():
				t.Fatal("the Get neither got the slot nor saw its context end")
			case leaves.err == nil:
				served++
				leaves.lease.Release()
			default:
				left++
			}
			r.wantStats(Stats{Open: 1, Idle: 1})
			if got := r.get("a").leased(); got.Value() != w || got.Fresh() {
				t.Errorf("Get: got %v, fresh %v, want %v as used", got.Value(), got.Fresh(), w)
			}
		})
	}
	if left == 0 || served == 0 {
		t.Errorf("%d waiters left and %d were served: the race was not met", left, served)
	}
}

// The moment itself, without the scheduler: the slot is in the waiter's hand
// when it looks at its context.
func TestAWaiterGivesBackWhatItWasHandedWhenItLeaves(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxPerKey: 1}, func(r *rig) {
		r.open("a", 1)
		l := r.get("a").leased()
		ctx, cancel := context.WithCancel(context.Background())
		_, leaves, err := r.pool.take(ctx, "a")
		if leaves == nil {
			t.Fatalf("take: got no waiter, error %v", err)
		}
		stays := r.get("a")
		l.Release()
		leaves.ready = make(chan struct{}) // it does not see that it is ready
		cancel()
		if l, err := r.pool.wait(ctx, leaves); l != nil || err != context.Canceled {
			t.Errorf("wait: got %v, %v, want the context's error", l, err)
		}
		stays.leased()
	})
}
