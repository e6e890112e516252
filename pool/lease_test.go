package pool

import (
	"testing"
	"time"
)

func TestALeaseEndsOnce(t *testing.T) {
	ends := map[string]func(l *Lease[string, *wire]){
		"Release": (*Lease[string, *wire]).Release,
		"Retire":  func(l *Lease[string, *wire]) { l.Retire("test") },
		"Refuse":  (*Lease[string, *wire]).Refuse,
		"Detach":  (*Lease[string, *wire]).Detach,
	}
	for name, again := range ends {
		t.Run("Release, then "+name, func(t *testing.T) {
			inBubble(t, Config[string, *wire]{}, func(r *rig) {
				w := r.open("a", 1)[0]
				old := r.get("a").leased()
				old.Release()
				next := r.get("a").leased()
				again(old)
				r.wantStats(Stats{Open: 1, Leases: 1})
				r.wantClosed(w)
				next.Release()
				if got := r.get("a").leased().Value(); got != w {
					t.Errorf("Get: got %v, want %v: the old lease must not have touched it", got, w)
				}
			})
		})
		t.Run(name+", then Release", func(t *testing.T) {
			inBubble(t, Config[string, *wire]{}, func(r *rig) {
				r.open("a", 1)
				l := r.get("a").leased()
				again(l)
				before := r.pool.Stats()
				l.Release()
				r.wantStats(before)
			})
		})
	}
}

func TestLeaseSaysWhetherItsConnectionIsFreshOrLayIdle(t *testing.T) {
	inBubble(t, Config[string, *wire]{}, func(r *rig) {
		check := func(what string, l *Lease[string, *wire], fresh bool, lay time.Duration, idle bool) {
			t.Helper()
			if got := l.Fresh(); got != fresh {
				t.Errorf("%s: Fresh is %v, want %v", what, got, fresh)
			}
			if d, ok := l.Idle(); d != lay || ok != idle {
				t.Errorf("%s: Idle is %v, %v, want %v, %v", what, d, ok, lay, idle)
			}
		}
		first, second := r.get("a"), r.get("a")
		r.dials()[0].succeed(1)
		check("dialed and handed over", first.leased(), true, 0, false)
		pass(time.Second)
		first.leased().Release()
		check("freed and handed over", second.leased(), false, 0, false)
		// The dial that second caused is not needed any more.
		r.oneDial().succeed(1)
		pass(3 * time.Second)
		check("surplus dial", r.get("a").leased(), false, 3*time.Second, true)
		second.leased().Release()
		check("just released", r.get("a").leased(), false, 0, true)
	})
}

func TestRetireClosesWithTheFirstReasonWhenTheLastLeaseEnds(t *testing.T) {
	inBubble(t, Config[string, *wire]{}, func(r *rig) {
		g := r.get("a")
		w := r.oneDial().succeed(3)
		one, two := g.leased(), r.get("a").leased()
		one.Retire("first")
		two.Conn().Retire("second")
		r.wantClosed(w)
		r.wantStats(Stats{Open: 1, Leases: 1})
		if next := r.get("a"); !next.waits() {
			t.Error("a retired connection took a new lease")
		}
		two.Retire("third")
		r.wantClosed(w, "first")
		r.oneDial()
	})
}

func TestRefuseOffersNoSlotUntilSetSlots(t *testing.T) {
	inBubble(t, Config[string, *wire]{}, func(r *rig) {
		g := r.get("a")
		w := r.oneDial().succeed(2)
		one, two := g.leased(), r.get("a").leased()
		one.Refuse()
		two.Release()
		r.wantStats(Stats{Open: 1, Idle: 1})
		waiting := r.get("a")
		if !waiting.waits() {
			t.Fatal("Get was served by a connection that refuses")
		}
		r.oneDial() // the refusing connection does not keep others from dialing
		w.pc.SetSlots(2)
		if got := waiting.leased().Value(); got != w {
			t.Errorf("after SetSlots: got %v, want %v", got, w)
		}
		r.wantClosed(w)
	})
}

func TestRefuseEndsTheSettlingState(t *testing.T) {
	inBubble(t, Config[string, *wire]{}, func(r *rig) {
		g := r.get("a")
		r.oneDial().succeed(0)
		waiting := r.get("a")
		if n := len(r.dials()); n != 0 {
			t.Fatalf("dials beside a settling connection: got %d, want 0", n)
		}
		g.leased().Refuse()
		if !waiting.waits() {
			t.Fatal("Get was served by a connection that refuses")
		}
		r.oneDial()
	})
}

func TestDetachTakesTheConnectionOut(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxPerKey: 1}, func(r *rig) {
		g := r.get("a")
		w := r.oneDial().succeed(2)
		one, two := g.leased(), r.get("a").leased()
		waiting := r.get("a")
		one.Detach()
		r.wantStats(Stats{Dialing: 1, Waiting: 1}) // its place is free
		two.Retire("too late")
		r.oneDial().succeed(1)
		waiting.leased()
		r.pool.Close()
		r.wantClosed(w)
	})
}
