package pool

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

func TestASettlingConnectionHoldsDialsBackUntilSetSlots(t *testing.T) {
	inBubble(t, Config[string, *wire]{}, func(r *rig) {
		first := r.get("a")
		w := r.oneDial().succeed(0)
		gets := r.gets("a", 12)
		first.leased()
		if got := len(r.dials()); got != 0 {
			t.Fatalf("dials beside a settling connection: got %d, want 0", got)
		}
		w.pc.SetSlots(10)
		for i, g := range gets[:9] {
			if got := g.leased(); got.Value() != w || got.Fresh() {
				t.Errorf("waiter %d: got %v, fresh %v, want %v shared", i, got.Value(), got.Fresh(), w)
			}
		}
		// Three are left, and ten slots are to be expected of one dial.
		r.oneDial().succeed(0)
		gets[9].leased()
		if !gets[10].waits() {
			t.Error("a settling connection offered a second slot")
		}
		r.wantStats(Stats{Open: 2, Leases: 11, Waiting: 2})
	})
}

func TestASettlingConnectionThatEndsLetsOthersDial(t *testing.T) {
	for name, end := range map[string]func(l *Lease[string, *wire]){
		"gone":     func(l *Lease[string, *wire]) { l.Conn().Gone() },
		"retired":  func(l *Lease[string, *wire]) { l.Conn().Retire("test") },
		"detached": (*Lease[string, *wire]).Detach,
		"refused":  (*Lease[string, *wire]).Refuse,
		"no slots": func(l *Lease[string, *wire]) { l.Conn().SetSlots(-3) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Config[string, *wire]{}, func(r *rig) {
				g := r.get("a")
				r.oneDial().succeed(-1)
				waiting := r.get("a")
				end(g.leased())
				if !waiting.waits() {
					t.Fatal("the waiter was served by a connection that offers nothing")
				}
				r.oneDial().succeed(1)
				waiting.leased()
			})
		})
	}
}

func TestSetSlotsBelowWhatIsLeasedThrowsNobodyOff(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxPerKey: 1}, func(r *rig) {
		g := r.get("a")
		w := r.oneDial().succeed(3)
		leases := []*Lease[string, *wire]{g.leased(), r.get("a").leased(), r.get("a").leased()}
		w.pc.SetSlots(1)
		r.wantStats(Stats{Open: 1, Leases: 3})
		waiting := r.get("a")
		leases[0].Release()
		leases[1].Release()
		if !waiting.waits() {
			t.Fatal("the waiter got a slot above the new limit")
		}
		leases[2].Release()
		waiting.leased()
	})
}

func TestSetSlotsHandsFreedSlotsToWaiters(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxPerKey: 1}, func(r *rig) {
		g := r.get("a")
		w := r.oneDial().succeed(1)
		gets := r.gets("a", 4)
		w.pc.SetSlots(3)
		gets[0].leased()
		gets[1].leased()
		if !gets[2].waits() {
			t.Error("more leases than slots")
		}
		g.leased().Release()
		gets[2].leased()
	})
}

// What is said of a connection before Dial has returned counts, and yet a waiter
// sees the connection once: else a peer that offers nothing is dialed for ever.
func TestWhatIsSaidBeforeDialReturns(t *testing.T) {
	t.Run("SetSlots", func(t *testing.T) {
		inBubble(t, Config[string, *wire]{}, func(r *rig) {
			gets := r.gets("a", 3)
			call := r.dials()[0]
			call.pc.SetSlots(2)
			w := call.succeed(0)
			gets[0].leased()
			if got := gets[1].leased().Value(); got != w {
				t.Errorf("second waiter: got %v, want %v, which has two slots", got, w)
			}
			if !gets[2].waits() {
				t.Error("third waiter was served by a connection with two slots")
			}
			if got := r.dials()[0].ctx.Err(); got != nil {
				t.Errorf("the other dials: got %v, want them untouched", got)
			}
		})
	})
	t.Run("SetSlots to none", func(t *testing.T) {
		inBubble(t, Config[string, *wire]{MaxDialsPerKey: 1}, func(r *rig) {
			gets := r.gets("a", 2)
			call := r.oneDial()
			call.pc.SetSlots(0)
			call.succeed(100)
			if !gets[0].leased().Fresh() {
				t.Error("the waiter's lease is not fresh")
			}
			r.oneDial()
			gets[0].leased().Release()
			if !gets[1].waits() {
				t.Error("a connection that offers no slot was offered a second time")
			}
		})
	})
	t.Run("Retire", func(t *testing.T) {
		inBubble(t, Config[string, *wire]{MaxDialsPerKey: 1}, func(r *rig) {
			gets := r.gets("a", 2)
			call := r.oneDial()
			call.pc.Retire("early")
			w := call.succeed(100)
			l := gets[0].leased()
			r.wantClosed(w)
			if !gets[1].waits() {
				t.Error("a retired connection was handed out twice")
			}
			l.Release()
			r.wantClosed(w, "early")
			r.oneDial()
		})
	})
	t.Run("Retire with nobody waiting", func(t *testing.T) {
		inBubble(t, Config[string, *wire]{}, func(r *rig) {
			r.get("a").leave(nil)
			call := r.oneDial()
			call.pc.Retire("early")
			r.wantClosed(call.succeed(1), "early")
			r.wantStats(Stats{})
		})
	})
	t.Run("Gone", func(t *testing.T) {
		inBubble(t, Config[string, *wire]{MaxDialsPerKey: 1}, func(r *rig) {
			gets := r.gets("a", 2)
			call := r.oneDial()
			call.pc.Gone()
			r.wantStats(Stats{Dialing: 1, Waiting: 2}) // it counts until Dial returns
			w := call.succeed(100)
			l := gets[0].leased()
			if l.Value() != w || !l.Fresh() {
				t.Errorf("got %v, fresh %v, want %v, fresh", l.Value(), l.Fresh(), w)
			}
			r.wantStats(Stats{Dialing: 1, Waiting: 1})
			l.Retire("test")
			r.wantClosed(w)
		})
	})
	t.Run("Gone with nobody waiting", func(t *testing.T) {
		inBubble(t, Config[string, *wire]{}, func(r *rig) {
			r.get("a").leave(nil)
			call := r.oneDial()
			call.pc.Gone()
			w := call.succeed(1)
			r.wantStats(Stats{})
			r.pool.Close()
			r.wantClosed(w)
		})
	})
	t.Run("all of it, and then an error", func(t *testing.T) {
		inBubble(t, Config[string, *wire]{}, func(r *rig) {
			g := r.get("a")
			call := r.oneDial()
			call.pc.SetSlots(5)
			call.pc.Retire("early")
			call.pc.Gone()
			boom := errors.New("boom")
			call.fail(boom)
			g.failed(boom)
			call.pc.SetSlots(5)
			call.pc.Retire("late")
			call.pc.Gone()
			r.wantStats(Stats{})
		})
	})
}

func TestGoneForgetsTheConnectionAtOnce(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxPerKey: 1}, func(r *rig) {
		g := r.get("a")
		w := r.oneDial().succeed(2)
		one, two := g.leased(), r.get("a").leased()
		waiting := r.get("a")
		w.pc.Gone()
		r.wantStats(Stats{Dialing: 1, Waiting: 1}) // its place is free
		one.Release()
		two.Retire("test")
		w.pc.Gone()
		w.pc.SetSlots(9)
		w.pc.Retire("test")
		r.oneDial().succeed(1)
		waiting.leased()
		r.wantStats(Stats{Open: 1, Leases: 1})
		r.pool.Close()
		r.wantClosed(w)
	})
}

func TestARetiredConnectionThatIsGoneIsNotClosed(t *testing.T) {
	inBubble(t, Config[string, *wire]{}, func(r *rig) {
		g := r.get("a")
		w := r.oneDial().succeed(1)
		w.pc.Retire("test")
		w.pc.Gone()
		g.leased().Release()
		r.wantStats(Stats{})
		r.wantClosed(w)
	})
}

func TestGoneTakesAConnectionBackFromTheCloser(t *testing.T) {
	closing, goOn := make(chan *wire), make(chan struct{})
	var wires []*wire
	cfg := Config[string, *wire]{
		Close: func(w *wire, why Reason) {
			w.closed = append(w.closed, why)
			closing <- w
			<-goOn
		},
	}
	// The channels have to belong to the bubble.
	synctest.Test(t, func(t *testing.T) {
		closing, goOn = make(chan *wire), make(chan struct{})
		r := newRig(t, cfg)
		wires = r.open("a", 2)
		r.pool.CloseIdle()
		first := <-closing // the other one is in the queue
		other := wires[0]
		if first == other {
			other = wires[1]
		}
		other.pc.Gone()
		first.pc.Gone() // too late
		close(goOn)
		r.wantClosed(first, CloseIdle)
		r.wantClosed(other)
		r.pool.Close()
	})
}

func TestIdleRefusingConnectionIsHandedToAWaiterBySetSlots(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxPerKey: 1}, func(r *rig) {
		w := r.open("a", 1)[0]
		r.get("a").leased().Refuse()
		waiting := r.get("a")
		r.wantStats(Stats{Open: 1, Idle: 1, Waiting: 1})
		w.pc.SetSlots(1)
		if _, idle := waiting.leased().Idle(); !idle {
			t.Error("Idle is false for a connection without a lease")
		}
	})
}

// hooked closes and dials as an engine does whose hooks run synchronously: they
// call the pool from within, and from under locks of their own.
func TestHooksThatCallBackSynchronouslyDoNotDeadlock(t *testing.T) {
	var p *Pool[string, *wire]
	lock := make(chan struct{}, 1) // a lock that Close takes too
	cfg := Config[string, *wire]{
		Dial: func(_ context.Context, _ string, pc *Conn[string, *wire]) (*wire, int, error) {
			lock <- struct{}{}
			defer func() { <-lock }()
			pc.SetSlots(2)
			p.Stats()
			p.CloseIdle()
			return &wire{pc: pc}, 0, nil
		},
		Close: func(w *wire, _ Reason) {
			lock <- struct{}{}
			defer func() { <-lock }()
			w.pc.SetSlots(0)
			w.pc.Gone()
			w.pc.Retire("again")
			p.CloseIdle()
			p.Each(func(string, Stats) { p.Stats() })
		},
		MaxIdle: 1,
	}
	synctest.Test(t, func(t *testing.T) {
		lock = make(chan struct{}, 1)
		r := newRig(t, cfg)
		p = r.pool
		first, second, third := r.get("a").leased(), r.get("a").leased(), r.get("a").leased()
		other := r.get("b").leased()

		// Everything that can close something, under the lock that Close takes.
		lock <- struct{}{}
		first.Retire("test")
		second.Release()
		third.Conn().Retire("test")
		third.Release()
		other.Release()
		p.CloseIdle()
		<-lock
		r.wantStats(Stats{})
		if err := p.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

func TestKeyIsTheKeyThatWasDialed(t *testing.T) {
	inBubble(t, Config[string, *wire]{}, func(r *rig) {
		g := r.get("a")
		call := r.oneDial()
		if got := call.pc.Key(); got != "a" {
			t.Errorf("Key before Dial returned: got %q, want %q", got, "a")
		}
		call.succeed(1)
		l := g.leased()
		if l.Conn() != call.pc {
			t.Error("the lease's connection is not the handle that Dial was given")
		}
		l.Detach()
		if got := l.Conn().Key(); got != "a" {
			t.Errorf("Key of a detached connection: got %q, want %q", got, "a")
		}
	})
}
