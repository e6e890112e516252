package pool

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestAFullQueueTurnsAwayWhoComes(t *testing.T) {
	for _, c := range []struct {
		cfg  Config[string, *wire]
		want QueueFullError
	}{
		{Config[string, *wire]{MaxWaitersPerKey: 3, MaxPerKey: 1}, QueueFullError{Limit: 3, PerKey: true, Waiting: 3, Open: 1}},
		{Config[string, *wire]{MaxWaiters: 3, MaxPerKey: 1}, QueueFullError{Limit: 3, Waiting: 3, Open: 2}},
	} {
		inBubble(t, c.cfg, func(r *rig) {
			r.open("a", 1)
			r.open("b", 1)
			busy := r.get("a").leased()
			waiting := r.gets("a", 3)
			turnedAway := r.get("a")
			var full *QueueFullError
			if turnedAway.waits() || !errors.As(turnedAway.err, &full) {
				t.Fatalf("a fourth waiter: got %v, want a QueueFullError", turnedAway.err)
			}
			want := c.want
			if !want.PerKey {
				want.Open = 2
			}
			if *full != want {
				t.Errorf("got %+v, want %+v", *full, want)
			}
			r.get("b").leased() // who need not wait is not turned away
			waiting[1].leave(nil)
			if g := r.get("a"); !g.waits() {
				t.Errorf("after one has left: got %v, want it to wait", g.err)
			}
			busy.Release()
			waiting[0].leased()
		})
	}
}

func TestWaitTimeoutEndsAWait(t *testing.T) {
	inBubble(t, Config[string, *wire]{WaitTimeout: time.Second, MaxDialsPerKey: 1}, func(r *rig) {
		first := r.get("a")
		pass(time.Second / 2)
		second := r.get("a")
		pass(time.Second / 2)
		if first.waits() || !second.waits() {
			t.Fatalf("after a second: the first waits %v, the second %v, want the first to have failed", first.waits(), second.waits())
		}
		var gaveUp *WaitError
		if !errors.As(first.err, &gaveUp) {
			t.Fatalf("got %v, want a WaitError", first.err)
		}
		if want := (WaitError{Waited: time.Second, Waiting: 1, Dialing: 1}); *gaveUp != want {
			t.Errorf("got %+v, want %+v", *gaveUp, want)
		}
		var timeout net.Error
		if !errors.As(first.err, &timeout) || !timeout.Timeout() {
			t.Errorf("%v is no timeout by net.Error's method", first.err)
		}
		if errors.Is(first.err, context.DeadlineExceeded) {
			t.Error("it matches context.DeadlineExceeded although no context has ended")
		}
		r.oneDial().succeed(1) // goes on, for the next
		if got := second.leased().Waited(); got != time.Second/2 {
			t.Errorf("Waited: got %v, want 500ms", got)
		}
		if got := r.get("b"); !got.waits() {
			t.Errorf("got %v, want it to wait", got.err)
		}
	})
}

func TestWaitedIsTheTimeInLine(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxPerKey: 1}, func(r *rig) {
		g := r.get("a")
		pass(30 * time.Millisecond)
		r.oneDial().succeed(1)
		busy := g.leased()
		next := r.get("a")
		pass(5 * time.Millisecond)
		busy.Release()
		for i, c := range []struct {
			lease *Lease[string, *wire]
			want  time.Duration
		}{{busy, 30 * time.Millisecond}, {next.leased(), 5 * time.Millisecond}} {
			if got := c.lease.Waited(); got != c.want {
				t.Errorf("lease %d: waited %v, want %v", i, got, c.want)
			}
		}
		next.leased().Release()
		pass(time.Second)
		if l := r.get("a").leased(); l.Waited() != 0 {
			t.Errorf("a lease that was free: waited %v, want 0", l.Waited())
		}
	})
}

// until is a context that ends after d.
func (r *rig) until(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	r.t.Cleanup(cancel)
	return ctx
}

func TestASlotPassesOverWhoseDeadlineIsTooNear(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxPerKey: 1}, func(r *rig) {
		r.open("a", 1)
		var l *Lease[string, *wire]
		for range 30 {
			l = r.get("a").leased()
			pass(10 * time.Millisecond)
			l.Release()
		}
		busy := r.get("a").leased()
		doomed := r.getUntil(r.until(12*time.Millisecond), "a")
		fits := r.getUntil(r.until(time.Second), "a")
		last := r.getUntil(r.until(15*time.Millisecond), "a")
		pass(10 * time.Millisecond)
		busy.Release()
		var gaveUp *WaitError
		if doomed.waits() || !errors.As(doomed.err, &gaveUp) || !errors.Is(doomed.err, context.DeadlineExceeded) {
			t.Fatalf("2 ms before its deadline: got %v, want a WaitError that matches DeadlineExceeded", doomed.err)
		}
		if gaveUp.Left != 2*time.Millisecond || gaveUp.Need < 10*time.Millisecond || gaveUp.Need > 18*time.Millisecond || gaveUp.Waiting != 2 {
			t.Errorf("got %+v, want 2 ms left, about 15 ms needed, 2 others", *gaveUp)
		}
		if !strings.Contains(gaveUp.Error(), "2ms away") {
			t.Errorf("got %q, want how far the deadline is", gaveUp)
		}
		// Nobody else wants the slot: then it may as well be tried.
		fits.leased().Release()
		last.leased()
	})
}

// Twice as many come as can be served, each with 50 ms of time: with first come,
// first served the slots go to those whose time is about to end.
func TestUnderOverloadTheDeadlineDoomedDoNotTakeTheConnections(t *testing.T) {
	const (
		conns, come = 8, 2000
		takes       = 10 * time.Millisecond
	)
	served := func(known bool) (done, opened int) {
		synctest.Test(t, func(t *testing.T) {
			var ok, dials atomic.Int32
			p, err := New(Config[string, *wire]{
				MaxPerKey: conns,
				Dial: func(context.Context, string, *Conn[string, *wire]) (*wire, int, error) {
					dials.Add(1)
					pass(5 * time.Millisecond)
					return &wire{}, 1, nil
				},
				Close: func(*wire, Reason) {},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			var all sync.WaitGroup
			for range come {
				pass(takes / conns / 2)
				all.Go(func() {
					ctx, cancel := context.WithCancel(context.Background())
					defer time.AfterFunc(50*time.Millisecond, cancel).Stop() // no deadline that the pool could know
					if known {
						ctx, cancel = context.WithTimeout(context.Background(), 50*time.Millisecond)
					}
					defer cancel()
					l, err := p.Get(ctx, "a")
					if err != nil {
						return
					}
					select {
					case <-time.After(takes):
						ok.Add(1)
						l.Release()
					case <-ctx.Done():
						l.Retire("cancelled")
					}
				})
			}
			all.Wait()
			done, opened = int(ok.Load()), int(dials.Load())
		})
		return done, opened
	}
	blind, blindOpened := served(false)
	seeing, seeingOpened := served(true)
	t.Logf("of %d, 1000 of which could be served: %d with %d connections opened, %d with %d if deadlines are not known", come, seeing, seeingOpened, blind, blindOpened)
	if seeing < 900 {
		t.Errorf("served in time: got %d, want at least 900 of the 1000 that there is time for", seeing)
	}
	if seeing < blind*3/2 {
		t.Errorf("served in time: got %d, want half as many again as the %d without knowing deadlines", seeing, blind)
	}
	if seeingOpened >= blindOpened/10 {
		t.Errorf("opened: got %d, want less than a tenth of %d: exchanges broken off close their connections", seeingOpened, blindOpened)
	}
}

func TestOfAThousandWaitersHalfCancelledNoneIsLostAndOrderIsKept(t *testing.T) {
	const waiters, conns = 1000, 7
	var closed atomic.Int32
	p, err := New(Config[string, *wire]{
		MaxPerKey: conns,
		Dial: func(context.Context, string, *Conn[string, *wire]) (*wire, int, error) {
			return &wire{}, 1, nil
		},
		Close: func(*wire, Reason) { closed.Add(1) },
	})
	if err != nil {
		t.Fatal(err)
	}
	var held []*Lease[string, *wire]
	for range conns {
		l, err := p.Get(context.Background(), "a")
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, l)
	}
	type waiting struct {
		*waiter[string, *wire]
		ctx    context.Context
		cancel context.CancelFunc
	}
	all := make([]waiting, waiters)
	for i := range all {
		ctx, cancel := context.WithCancel(context.Background())
		_, w, err := p.take(ctx, "a")
		if w == nil {
			t.Fatalf("take: got no waiter, error %v", err)
		}
		all[i] = waiting{w, ctx, cancel}
	}
	var mu sync.Mutex
	var order []uint64
	var served, left atomic.Int32
	var done sync.WaitGroup
	for _, w := range all {
		done.Go(func() {
			defer w.cancel()
			l, err := p.wait(w.ctx, w.waiter)
			if err != nil {
				left.Add(1)
				return
			}
			served.Add(1)
			l.Release()
		})
	}
	cancelled := rand.Perm(waiters)[:waiters/2]
	done.Go(func() {
		for _, i := range cancelled {
			all[i].cancel()
		}
	})
	// What the pool hands out, in the order in which it does: the queue is looked
	// at under its mutex after each hand-over.
	done.Go(func() {
		for {
			p.mu.Lock()
			first := p.origins["a"].waiters.first
			if first != nil {
				order = append(order, first.number)
			}
			p.mu.Unlock()
			mu.Lock()
			if len(held) > 0 {
				held[0].Release()
				held = held[1:]
			}
			mu.Unlock()
			if first == nil {
				return
			}
		}
	})
	done.Wait()
	for i := 1; i < len(order); i++ {
		if order[i] < order[i-1] {
			t.Fatalf("waiter %d was first in line after waiter %d", order[i], order[i-1])
		}
	}
	if got := served.Load() + left.Load(); got != waiters || served.Load() < waiters/2 {
		t.Errorf("served: %d, left: %d, want %d in all and those not cancelled served", served.Load(), left.Load(), waiters)
	}
	if got := p.Stats(); got != (Stats{Open: conns, Idle: conns}) {
		t.Errorf("stats at the end: got %+v, want %d idle connections", got, conns)
	}
	p.Close()
	if got := closed.Load(); got != conns {
		t.Errorf("closed: got %d, want %d", got, conns)
	}
}

// With one connection, whoever is served is known before it serves the next.
func TestOfAThousandWaitersHalfCancelledTheRestIsServedInTheOrderOfArrival(t *testing.T) {
	const waiters = 1000
	p, err := New(Config[string, *wire]{
		MaxPerKey: 1,
		Dial: func(context.Context, string, *Conn[string, *wire]) (*wire, int, error) {
			return &wire{}, 1, nil
		},
		Close: func(*wire, Reason) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	busy, err := p.Get(context.Background(), "a")
	if err != nil {
		t.Fatal(err)
	}
	var (
		all      sync.WaitGroup
		served   []int // appended to by whoever has the lease
		cancels  [waiters]context.CancelFunc
		patient  [waiters]bool
		departed atomic.Int32
	)
	for i := range waiters {
		var ctx context.Context
		ctx, cancels[i] = context.WithCancel(context.Background())
		_, w, err := p.take(ctx, "a")
		if w == nil {
			t.Fatalf("take: got no waiter, error %v", err)
		}
		all.Go(func() {
			l, err := p.wait(ctx, w)
			if err != nil {
				departed.Add(1)
				return
			}
			served = append(served, i)
			l.Release()
		})
	}
	for n, i := range rand.Perm(waiters) {
		if patient[i] = n >= waiters/2; patient[i] {
			defer cancels[i]()
			continue
		}
		all.Go(cancels[i])
		if n == waiters/4 {
			busy.Release() // the other half of the cancellations comes while the queue moves
		}
	}
	all.Wait()
	for n := 1; n < len(served); n++ {
		if served[n] <= served[n-1] {
			t.Fatalf("waiter %d was served after waiter %d", served[n], served[n-1])
		}
	}
	for _, i := range served {
		patient[i] = false
	}
	for i, missed := range patient {
		if missed {
			t.Errorf("waiter %d had the patience, and was not served", i)
		}
	}
	if got := len(served) + int(departed.Load()); got != waiters {
		t.Errorf("%d served, %d left, want %d in all", len(served), departed.Load(), waiters)
	}
	if got := p.Stats(); got != (Stats{Open: 1, Idle: 1}) {
		t.Errorf("stats at the end: got %+v, want one idle connection", got)
	}
}
