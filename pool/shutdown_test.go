package pool

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestCloseIdleClosesWhatIsIdleAndWhatFallsIdleUntilTheNextGet(t *testing.T) {
	inBubble(t, Config[string, *wire]{}, func(r *rig) {
		wires := r.open("a", 3)
		one, two := r.get("a").leased(), r.get("a").leased()
		r.pool.CloseIdle()
		r.wantClosed(wires[2], CloseIdle)
		r.wantStats(Stats{Open: 2, Leases: 2})
		one.Release()
		r.wantClosed(wires[0], CloseIdle)
		g := r.get("b")
		two.Release()
		r.wantClosed(wires[1])
		r.wantStats(Stats{Open: 1, Idle: 1, Dialing: 1, Waiting: 1})
		r.oneDial().succeed(1)
		g.leased()
	})
}

func TestCloseIdleCancelsTheDialsOfKeysThatNobodyWaitsFor(t *testing.T) {
	inBubble(t, Config[string, *wire]{}, func(r *rig) {
		stays := r.gets("a", 2)
		left := r.gets("b", 2)
		left[0].leave(nil)
		left[1].leave(nil)
		stays[1].leave(nil)
		synctest.Wait()
		r.pool.CloseIdle()
		calls := r.dials()
		if len(calls) != 2 || calls[0].key != "a" || calls[1].key != "a" {
			t.Fatalf("dials after CloseIdle: got %d, want the two for a, where one waits", len(calls))
		}
		r.wantClosed(calls[0].succeed(1))
		stays[0].leased()
		r.wantClosed(calls[1].succeed(1), CloseIdle)
	})
}

// A cancelled dial may take its time to return. Whoever comes meanwhile does not
// wait for it, nor gets its error.
func TestACancelledDialServesNobodyWhoComesLater(t *testing.T) {
	goOn := make(chan struct{})
	calls := 0
	cfg := Config[string, *wire]{
		Dial: func(ctx context.Context, _ string, pc *Conn[string, *wire]) (*wire, int, error) {
			if calls++; calls > 1 {
				return &wire{pc: pc}, 1, nil
			}
			<-ctx.Done()
			<-goOn
			return nil, 0, ctx.Err()
		},
	}
	synctest.Test(t, func(t *testing.T) {
		goOn = make(chan struct{})
		r := newRig(t, cfg)
		r.get("a").leave(nil)
		r.pool.CloseIdle()
		r.get("a").leased()
		r.wantStats(Stats{Open: 1, Leases: 1, Dialing: 1})
		close(goOn)
		r.wantStats(Stats{Open: 1, Leases: 1})
		r.pool.Close()
	})
}

func TestCloseEndsEverythingAtOnce(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxPerKey: 2, IdleTimeout: time.Minute, MaxAge: time.Hour}, func(r *rig) {
		wires := r.open("a", 2)
		one, two := r.get("a").leased(), r.get("a").leased()
		two.Conn().Retire("test")
		waiting := r.get("a")
		idle := r.open("b", 1)
		dialing := r.get("c")

		if err := r.pool.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		for _, w := range []*wire{wires[0], wires[1], idle[0]} {
			r.wantClosed(w, Closed)
		}
		waiting.failed(ErrClosed)
		dialing.failed(ErrClosed)
		r.get("a").failed(ErrClosed)
		if got := len(r.dials()); got != 0 {
			t.Errorf("dials after Close: got %d, want 0", got)
		}
		one.Release()
		one.Detach()
		two.Retire("test")
		r.pool.CloseIdle()
		if err := r.pool.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
		r.wantClosed(wires[0], Closed)
		r.wantClosed(wires[1], Closed)
	})
}

func TestCloseWaitsASecondForDialsAndClosesWhatTheyOpen(t *testing.T) {
	for takes, waits := range map[time.Duration]time.Duration{
		time.Second / 2: time.Second / 2,
		time.Minute:     closeGrace,
	} {
		var closed atomic.Pointer[Reason]
		cfg := Config[string, *wire]{
			// It takes no notice of its context.
			Dial: func(context.Context, string, *Conn[string, *wire]) (*wire, int, error) {
				pass(takes)
				return &wire{}, 1, nil
			},
			Close: func(_ *wire, why Reason) { closed.Store(&why) },
		}
		inBubble(t, cfg, func(r *rig) {
			g := r.get("a")
			start := time.Now()
			r.pool.Close()
			if got := time.Since(start); got != waits {
				t.Errorf("with a dial that takes %v, Close returned after %v, want %v", takes, got, waits)
			}
			g.failed(ErrClosed)
			pass(time.Minute)
			synctest.Wait()
			if why := closed.Load(); why == nil || *why != Closed {
				t.Errorf("what a dial of %v opened was closed for %v, want %q", takes, why, Closed)
			}
		})
	}
}

func TestCloseTakesOverFromASlowCloser(t *testing.T) {
	closed := 0
	cfg := Config[string, *wire]{Close: func(*wire, Reason) {
		if closed++; closed == 1 {
			pass(time.Hour)
		}
	}}
	inBubble(t, cfg, func(r *rig) {
		r.open("a", 3)
		r.pool.CloseIdle()
		synctest.Wait()
		start := time.Now()
		r.pool.Close()
		if d := time.Since(start); closed != 3 || d != 0 {
			t.Errorf("Close returned after %v with Config.Close called for %d, want at once for all 3", d, closed)
		}
		pass(time.Hour)
	})
}

func TestASecondCloseReturnsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config[string, *wire]{})
		r.stubborn = true
		r.get("a")
		call := r.oneDial()
		first := make(chan struct{})
		go func() {
			r.pool.Close()
			close(first)
		}()
		synctest.Wait()
		r.pool.Close() // would be a deadlock
		select {
		case <-first:
			t.Error("Close returned before the dial did")
		default:
		}
		r.wantClosed(call.succeed(1), Closed)
		<-first
	})
}

func TestCloseMayBeCalledFromWithinConfigClose(t *testing.T) {
	for name, begin := range map[string]func(r *rig){
		"by CloseIdle": func(r *rig) { r.pool.CloseIdle() },
		"by Retire":    func(r *rig) { r.get("a").leased().Retire("test") },
		"by the sweep": func(*rig) { pass(time.Minute) },
		"by Close":     func(r *rig) { r.pool.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			var p *Pool[string, *wire]
			closed := 0
			cfg := Config[string, *wire]{
				Close: func(*wire, Reason) {
					closed++
					p.Close()
				},
				IdleTimeout: time.Minute,
			}
			inBubble(t, cfg, func(r *rig) {
				p = r.pool
				r.open("a", 3)
				r.get("a").leased() // out while the pool is closed
				dialing := r.get("b")
				begin(r)
				dialing.failed(ErrClosed)
				if closed != 3 {
					t.Errorf("connections closed: got %d, want 3", closed)
				}
				r.wantStats(Stats{})
			})
		})
	}
}

func TestShutdownServesThoseWhoWaitAndReturnsWhenNothingIsLeft(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxPerKey: 2}, func(r *rig) {
		idle := r.open("b", 1)[0]
		wires := r.open("a", 2)
		one, two := r.get("a").leased(), r.get("a").leased()
		waiting := r.gets("a", 2)
		dialing := r.get("c")
		r.get("d").leave(nil) // nobody waits for this dial
		synctest.Wait()

		done := make(chan error, 1)
		go func() { done <- r.pool.Shutdown(context.Background()) }()
		r.wantClosed(idle, Closed)
		r.get("a").failed(ErrClosed)
		r.wantStats(Stats{Open: 2, Leases: 2, Dialing: 1, Waiting: 3})

		one.Release()
		w := waiting[0].leased()
		if w.Value() != wires[0] {
			t.Errorf("waiter: got %v, want %v", w.Value(), wires[0])
		}
		two.Retire("test") // the second waiter needs a connection of its own
		calls := r.dials()
		calls[1].succeed(1)
		waiting[1].leased().Release()
		calls[0].succeed(1)
		dialing.leased().Release()
		select {
		case err := <-done:
			t.Fatalf("Shutdown returned %v with a lease out", err)
		default:
		}
		w.Release()
		if err := <-done; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		r.wantClosed(wires[0], Closed)
		r.wantClosed(wires[1], "test")
		r.wantStats(Stats{})
		if err := r.pool.Shutdown(context.Background()); err != nil {
			t.Errorf("second Shutdown: %v", err)
		}
	})
}

func TestShutdownReturnsTheContextsCauseAndCloseEndsWhatIsLeft(t *testing.T) {
	inBubble(t, Config[string, *wire]{}, func(r *rig) {
		w := r.open("a", 1)[0]
		l := r.get("a").leased()
		late := errors.New("patience is over")
		ctx, cancel := context.WithTimeoutCause(context.Background(), time.Second, late)
		defer cancel()
		if err := r.pool.Shutdown(ctx); err != late {
			t.Errorf("Shutdown: got %v, want the context's cause", err)
		}
		r.wantClosed(w)
		r.pool.Close()
		r.wantClosed(w, Closed)
		if err := r.pool.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown after Close: %v", err)
		}
		l.Release()
	})
}

func TestShutdownWaitsForConfigCloseToReturn(t *testing.T) {
	cfg := Config[string, *wire]{Close: func(*wire, Reason) { pass(time.Minute) }}
	inBubble(t, cfg, func(r *rig) {
		r.open("a", 2)
		start := time.Now()
		time.AfterFunc(90*time.Second, func() { r.pool.Get(context.Background(), "a") })
		if err := r.pool.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if got := time.Since(start); got != 2*time.Minute {
			t.Errorf("Shutdown returned after %v, want 2m, when both are closed", got)
		}
	})
}

func TestShutdownOfAnEmptyPoolReturnsAtOnce(t *testing.T) {
	inBubble(t, Config[string, *wire]{}, func(r *rig) {
		if err := r.pool.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
}

func TestADialThatNobodyWaitsForAnyMoreIsCancelledInShutdown(t *testing.T) {
	inBubble(t, Config[string, *wire]{}, func(r *rig) {
		g := r.get("a")
		done := make(chan error, 1)
		go func() { done <- r.pool.Shutdown(context.Background()) }()
		if call := r.oneDial(); call.ctx.Err() != nil {
			t.Fatal("a dial that somebody waits for was cancelled")
		}
		g.leave(nil)
		if err := <-done; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
}
