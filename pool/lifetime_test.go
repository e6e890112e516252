package pool

import (
	"testing"
	"time"
)

func TestAConnectionPastItsOwnIdleLimitIsClosed(t *testing.T) {
	inBubble(t, Config[string, *wire]{IdleTimeout: time.Minute}, func(r *rig) {
		wires := r.open("a", 2)
		patient, hasty := wires[0], wires[1]
		hasty.pc.SetIdleLimit(5*time.Second, 0)
		pass(5*time.Second - time.Nanosecond)
		r.wantClosed(hasty)
		pass(time.Nanosecond)
		r.wantClosed(hasty, IdleTimeout)
		r.wantClosed(patient)
		// It can be tightened while the connection lies idle, below what it has lain.
		patient.pc.SetIdleLimit(30*time.Second, 0)
		pass(10 * time.Second)
		patient.pc.SetIdleLimit(12*time.Second, 0)
		r.wantClosed(patient, IdleTimeout)
		r.wantStats(Stats{})
	})
}

func TestAnIdleLimitStartsAnewWithEachUseAndEndsAtIdleTimeout(t *testing.T) {
	inBubble(t, Config[string, *wire]{IdleTimeout: 10 * time.Second}, func(r *rig) {
		w := r.open("a", 1)[0]
		w.pc.SetIdleLimit(2*time.Second, 0)
		for range 5 {
			pass(2*time.Second - time.Nanosecond)
			l := r.get("a").leased()
			pass(time.Minute) // not idle
			l.Release()
		}
		r.wantClosed(w)
		w.pc.SetIdleLimit(time.Hour, 2*time.Hour)
		pass(10*time.Second - time.Nanosecond)
		r.wantClosed(w)
		pass(time.Nanosecond)
		r.wantClosed(w, IdleTimeout)
	})
}

func TestAConnectionKeptBeyondItsOfferIsNotLeasedButStaysOpen(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxPerKey: 2}, func(r *rig) {
		w := r.open("a", 1)[0]
		w.pc.SetIdleLimit(5*time.Second, 20*time.Second)
		pass(5 * time.Second)
		g := r.get("a")
		if !g.waits() {
			t.Fatalf("got %v, want a dial: it is not offered any more", g.leased().Value())
		}
		r.oneDial().succeed(1)
		busy := g.leased()
		w.pc.SetSlots(1) // does not bring it back
		w.pc.SetIdleLimit(time.Minute, time.Minute)
		if late := r.get("a"); !late.waits() {
			t.Fatalf("got %v, want a dial", late.leased().Value())
		}
		// The limit is reached: its place is needed.
		r.wantClosed(w, Evicted)
		r.oneDial().succeed(1)
		busy.Release()
	})
	inBubble(t, Config[string, *wire]{}, func(r *rig) {
		wires := r.open("a", 2)
		for _, w := range wires {
			w.pc.SetIdleLimit(5*time.Second, 20*time.Second)
		}
		pass(20*time.Second - time.Nanosecond)
		r.wantStats(Stats{Open: 2, Idle: 2})
		wires[0].pc.Gone() // the peer was the first
		pass(time.Nanosecond)
		r.wantClosed(wires[0])
		r.wantClosed(wires[1], IdleTimeout)
	})
}

func TestAConnectionIsRetiredAfterItsLastLease(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxLeases: 3}, func(r *rig) {
		w := r.open("a", 1)[0] // the first
		l := r.get("a").leased()
		if l.Last() {
			t.Error("Last is true for the second of three leases")
		}
		l.Release()
		l = r.get("a").leased()
		if !l.Last() {
			t.Error("Last is false for the third of three leases")
		}
		r.wantClosed(w)
		l.Release()
		r.wantClosed(w, MaxLeases)
	})
}

func TestLeasesOfASharedConnectionAreCountedWhileTheyAreOut(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxLeases: 3}, func(r *rig) {
		gets := r.gets("a", 4)
		w := r.dials()[0].succeed(100)
		for i, g := range gets[:3] {
			if got := g.leased().Last(); got != (i == 2) {
				t.Errorf("lease %d of three: Last is %v", i+1, got)
			}
		}
		if !gets[3].waits() {
			t.Error("a fourth lease was given on a connection for three")
		}
		for _, g := range gets[:3] {
			r.wantClosed(w)
			g.leased().Release()
		}
		r.wantClosed(w, MaxLeases)
	})
}

func TestSetLeasesLeftCanBeTightenedAndLoosened(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxLeases: 2}, func(r *rig) {
		w := r.open("a", 1)[0]
		w.pc.SetLeasesLeft(-1)
		for range 5 {
			r.get("a").leased().Release()
		}
		l := r.get("a").leased()
		w.pc.SetLeasesLeft(1) // one beside that one
		l.Release()
		r.wantClosed(w)
		l = r.get("a").leased()
		if !l.Last() {
			t.Error("Last is false for the last")
		}
		l.Release()
		r.wantClosed(w, MaxLeases)

		idle := r.open("b", 1)[0]
		idle.pc.SetLeasesLeft(0)
		r.wantClosed(idle, MaxLeases)
	})
}

func TestLimitsSetBeforeDialHasReturnedHold(t *testing.T) {
	inBubble(t, Config[string, *wire]{}, func(r *rig) {
		g := r.get("a")
		call := r.oneDial()
		call.pc.SetIdleLimit(time.Second, 0)
		call.pc.SetLeasesLeft(2)
		w := call.succeed(1)
		g.leased().Release()
		if !inside(r, timerRuns) {
			t.Error("the timer does not run although the connection has an idle limit")
		}
		pass(time.Second)
		r.wantClosed(w, IdleTimeout)
	})
}
