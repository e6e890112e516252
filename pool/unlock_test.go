package pool

import (
	"context"
	"errors"
	"testing"
)

func TestMaxPerKeyCountsDialsAndRetiredConnections(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxPerKey: 2}, func(r *rig) {
		gets := r.gets("a", 4)
		if got := len(r.dials()); got != 2 {
			t.Fatalf("dials: got %d, want 2", got)
		}
		for _, call := range r.dials() {
			call.succeed(1)
		}
		if got := len(r.dials()); got != 0 {
			t.Fatalf("dials at the limit: got %d, want 0", got)
		}
		l := gets[0].leased()
		l.Conn().Retire("test")
		if got := len(r.dials()); got != 0 {
			t.Errorf("dials beside a retired connection still in use: got %d, want 0", got)
		}
		l.Release()
		r.oneDial().succeed(1)
		gets[2].leased()
		gets[1].leased().Release()
		gets[3].leased()
		r.wantStats(Stats{Open: 2, Leases: 2})
	})
}

func TestAFailedDialMakesRoomForTheNext(t *testing.T) {
	boom := errors.New("boom")
	inBubble(t, Config[string, *wire]{MaxTotal: 1}, func(r *rig) {
		first, second, other := r.get("a"), r.get("a"), r.get("b")
		r.oneDial().fail(boom)
		first.failed(boom)
		// a was starved before b was.
		call := r.oneDial()
		if call.key != "a" {
			t.Errorf("next dial: for %q, want a, which waits longer", call.key)
		}
		call.fail(boom)
		second.failed(boom)
		r.oneDial().succeed(1)
		other.leased()
	})
}

func TestMaxTotalEvictsTheLeastRecentlyUsedIdleConnection(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxTotal: 3}, func(r *rig) {
		old := r.open("a", 1)[0]
		r.open("b", 2)
		r.get("a").leased().Release() // now b's second is the oldest
		g := r.get("c")
		r.wantClosed(old)
		r.wantStats(Stats{Open: 2, Idle: 2, Dialing: 1, Waiting: 1})
		r.oneDial().succeed(1)
		g.leased()
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.order) != 1 || r.order[0] != 3 {
			t.Errorf("closed: wires %v, want wire 3, b's least recently used", r.order)
		}
	})
}

func TestAConnectionThatFallsIdleGoesToTheKeyThatIsStarvedLongest(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxTotal: 2}, func(r *rig) {
		r.open("a", 2)
		one, two := r.get("a").leased(), r.get("a").leased()
		b, c := r.gets("b", 2), r.get("c")
		if got := len(r.dials()); got != 0 {
			t.Fatalf("dials at MaxTotal with nothing idle: got %d, want 0", got)
		}
		one.Release()
		r.wantClosed(one.Value(), Evicted)
		if call := r.oneDial(); call.key != "b" {
			t.Fatalf("dial: for %q, want b, which is starved longest", call.key)
		}
		r.oneDial().succeed(1)
		b[0].leased()
		// b is starved still, but c's turn has come.
		two.Release()
		r.wantClosed(two.Value(), Evicted)
		if call := r.oneDial(); call.key != "c" {
			t.Fatalf("dial: for %q, want c", call.key)
		}
		r.oneDial().succeed(1)
		c.leased()
		// A key's own waiters come first.
		w := b[0].leased().Value()
		b[0].leased().Release()
		if got := b[1].leased().Value(); got != w {
			t.Errorf("b's waiter: got %v, want %v", got, w)
		}
	})
}

func TestAWaiterThatLeavesIsNotStarvedAnyMore(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxTotal: 1}, func(r *rig) {
		w := r.open("a", 1)[0]
		l := r.get("a").leased()
		g := r.get("b")
		g.leave(nil)
		g.failed(context.Canceled)
		l.Release()
		r.wantClosed(w)
		r.wantStats(Stats{Open: 1, Idle: 1})
	})
}

// Each of these lets a key dial that had to wait for room.
func TestWhateverMakesRoomWakesAStarvedKey(t *testing.T) {
	for name, end := range map[string]func(l *Lease[string, *wire]){
		"Release":     (*Lease[string, *wire]).Release,
		"Retire":      func(l *Lease[string, *wire]) { l.Retire("test") },
		"Refuse":      (*Lease[string, *wire]).Refuse,
		"Detach":      (*Lease[string, *wire]).Detach,
		"Gone":        func(l *Lease[string, *wire]) { l.Conn().Gone() },
		"Conn.Retire": func(l *Lease[string, *wire]) { l.Conn().Retire("test"); l.Release() },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Config[string, *wire]{MaxTotal: 1}, func(r *rig) {
				r.open("a", 1)
				l := r.get("a").leased()
				starved := r.get("b")
				if got := len(r.dials()); got != 0 {
					t.Fatalf("dials at MaxTotal: got %d, want 0", got)
				}
				end(l)
				r.oneDial().succeed(1)
				starved.leased()
			})
		})
	}
	t.Run("surplus dial", func(t *testing.T) {
		inBubble(t, Config[string, *wire]{MaxTotal: 1}, func(r *rig) {
			r.get("a").leave(nil)
			starved := r.get("b")
			w := r.oneDial().succeed(1)
			r.wantClosed(w, Evicted)
			r.oneDial().succeed(1)
			starved.leased()
		})
	})
}

func TestRoomUnderMaxTotalGoesToWhoeverWaitsLongest(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxTotal: 1}, func(r *rig) {
		r.open("a", 1)
		busy := r.get("a").leased()
		first, other, last := r.get("a"), r.get("b"), r.get("a")
		busy.Release() // to the oldest, of its own key
		l := first.leased()
		l.Release() // b has waited longer than last
		r.wantClosed(l.Value(), Evicted)
		r.oneDial().succeed(1)
		l = other.leased()
		l.Release()
		r.wantClosed(l.Value(), Evicted)
		r.oneDial().succeed(1)
		last.leased()
	})
}
