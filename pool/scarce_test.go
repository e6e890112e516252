package pool

import (
	"context"
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
)

func TestADialWithoutDescriptorsEvictsIdleConnectionsAndIsTriedAgain(t *testing.T) {
	scarce := func(err error) bool { return errors.Is(err, syscall.EMFILE) }
	inBubble(t, Config[string, *wire]{Scarce: scarce}, func(r *rig) {
		old := r.open("a", 1)[0]
		wires := r.open("b", 2) // the second is the less recent
		g := r.get("c")
		r.oneDial().fail(syscall.EMFILE)
		r.wantClosed(old, Evicted)
		r.wantClosed(wires[1], Evicted)
		r.wantClosed(wires[0])
		if !g.waits() {
			t.Fatalf("got %v, want it to wait for the second try", g.err)
		}
		r.oneDial().fail(syscall.EMFILE)
		r.wantClosed(wires[0], Evicted)
		w := r.oneDial().succeed(1)
		if got := g.leased(); got.Value() != w || !got.Fresh() {
			t.Errorf("got %v, fresh %v, want %v", got.Value(), got.Fresh(), w)
		}
	})
}

func TestADialForWantOfSomethingFailsInTheEnd(t *testing.T) {
	scarce := func(err error) bool { return errors.Is(err, syscall.EMFILE) }
	t.Run("nothing idle", func(t *testing.T) {
		inBubble(t, Config[string, *wire]{Scarce: scarce}, func(r *rig) {
			r.open("a", 1)
			r.get("a").leased()
			g := r.get("b")
			r.oneDial().fail(syscall.EMFILE)
			g.failed(syscall.EMFILE)
		})
	})
	t.Run("not for want", func(t *testing.T) {
		inBubble(t, Config[string, *wire]{Scarce: scarce}, func(r *rig) {
			w := r.open("a", 1)[0]
			g := r.get("b")
			r.oneDial().fail(syscall.ECONNREFUSED)
			g.failed(syscall.ECONNREFUSED)
			r.wantClosed(w)
		})
	})
	t.Run("enough tries", func(t *testing.T) {
		inBubble(t, Config[string, *wire]{Scarce: scarce}, func(r *rig) {
			r.open("a", 20)
			g := r.get("b")
			for range 1 + scarceTries {
				r.oneDial().fail(syscall.EMFILE)
			}
			g.failed(syscall.EMFILE)
			r.wantStats(Stats{Open: 20 - 2*scarceTries, Idle: 20 - 2*scarceTries})
		})
	})
}

func TestEvictIdleReturnsWhenTheConnectionsAreClosed(t *testing.T) {
	var closed atomic.Int32
	var goOn chan struct{} // closed by the test
	cfg := Config[string, *wire]{Close: func(*wire, Reason) {
		<-goOn
		closed.Add(1)
	}}
	synctest.Test(t, func(t *testing.T) {
		goOn = make(chan struct{})
		r := newRig(t, cfg)
		defer r.end()
		r.open("a", 3)
		busy := r.get("a").leased()
		evicted := make(chan int, 1)
		go func() { evicted <- r.pool.EvictIdle(5) }() // ends when Close has
		synctest.Wait()
		left := make(chan error, 1)
		go func() { left <- r.pool.Shutdown(context.Background()) }() // ends with what is left
		synctest.Wait()
		if len(evicted) != 0 {
			t.Error("EvictIdle returned before Close had")
		}
		busy.Retire("test")
		synctest.Wait()
		if len(left) != 0 {
			t.Error("Shutdown returned before what was evicted was closed")
		}
		close(goOn)
		if got := <-evicted; got != 2 {
			t.Errorf("got %d, want 2, those that were idle", got)
		}
		if err := <-left; err != nil || closed.Load() != 3 {
			t.Errorf("Shutdown: got %v with %d closed, want nil and 3", err, closed.Load())
		}
	})
}

func TestWhatATryThatFailedSaidOfItsConnectionDoesNotHoldForTheNext(t *testing.T) {
	scarce := func(err error) bool { return errors.Is(err, syscall.EMFILE) }
	inBubble(t, Config[string, *wire]{Scarce: scarce}, func(r *rig) {
		r.open("a", 1)
		g := r.get("b")
		c := r.oneDial()
		c.pc.Gone()
		c.fail(syscall.EMFILE)
		w := r.oneDial().succeed(1)
		g.leased().Release()
		r.wantStats(Stats{Open: 1, Idle: 1})
		if got := r.get("b").leased(); got.Value() != w {
			t.Errorf("got %v, want %v", got.Value(), w)
		}
	})
}
