package dialer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// full is a ledger in which a source has n connections to destA on ports from 1
// on, and the kernel has found no more.
func full(from sources, n int) (l *ledger, open []*lease) {
	l = newLedger()
	q := &ask{dst: destA, from: from, size: 1000}
	for i := range n {
		lease, _, _ := l.choose(context.Background(), q)
		lease.opened(uint16(i + 1))
		open = append(open, lease)
	}
	for range from {
		lease, _, _ := l.choose(context.Background(), q)
		lease.refused(noPort, errNoPort)
	}
	return l, open
}

func (l *ledger) outcome(from sources) outcome {
	lease, o, _ := l.choose(context.Background(), &ask{dst: destA, from: from, size: 1000})
	lease.release(false)
	return o
}

func TestKernelIsAskedAgainAfterAPauseOrWhenAPortComesFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := list("10.0.0.1/32")
		l, open := full(from, 3)
		if got := l.outcome(from); got != outOfPorts {
			t.Fatalf("got %d, want %d: the kernel has just refused", got, outOfPorts)
		}
		open[0].release(true)
		if got := l.outcome(from); got != outOfPorts {
			t.Errorf("after a close with TIME_WAIT: got %d, want %d", got, outOfPorts)
		}
		open[1].release(false)
		if got := l.outcome(from); got != chosen {
			t.Errorf("after a close without: got %d, want %d", got, chosen)
		}
		lease, _, _ := l.choose(context.Background(), &ask{dst: destA, from: from, size: 1000})
		lease.refused(noPort, errNoPort) // another process was faster
		if got := l.outcome(from); got != outOfPorts {
			t.Errorf("after another refusal: got %d, want %d", got, outOfPorts)
		}
		<-time.After(pausePorts.first)
		probe, o, _ := l.choose(context.Background(), &ask{dst: destA, from: from, size: 1000})
		if o != chosen || l.outcome(from) != outOfPorts {
			t.Errorf("after the pause: got %d, want one dial that tries and no other", o)
		}
		probe.refused(noPort, errNoPort)
		<-time.After(pausePorts.first)
		if got := l.outcome(from); got != outOfPorts {
			t.Errorf("got %d, want the second pause to be longer", got)
		}
		// The TIME_WAIT ends.
		<-time.After(timeWaitTime)
		if got := l.budgets(); len(got) != 1 || got[0].Open != 1 || got[0].TimeWait != 0 {
			t.Errorf("got %+v, want one open and none in TIME_WAIT", got)
		}
		open[2].release(true)
		<-time.After(2 * timeWaitTime)
		synctest.Wait()
		if len(l.waits)+len(l.wakes) > 0 {
			t.Errorf("got %d TIME_WAITs and %d timers, want none: nobody dials any more", len(l.waits), len(l.wakes))
		}
	})
}

func TestWaitersGetPortsInTheOrderInWhichTheyCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := list("10.0.0.1/32")
		l, open := full(from, 10)
		got := make(chan int, 10)
		for i := range 10 {
			go func() {
				var ticket uint64
				g, err := l.await(t.Context(), []*ask{{dst: destA, from: from, size: 1000}}, &ticket)
				if err != nil {
					t.Error(err)
				}
				g.lease.opened(uint16(100 + i))
				got <- i
			}()
			synctest.Wait()
		}
		for i, lease := range open[:9] {
			lease.release(i%2 == 0 && i > 0) // some leave a TIME_WAIT
			<-time.After(timeWaitTime)
		}
		open[9].release(false)
		<-time.After(timeWaitTime)
		synctest.Wait()
		for want := range 10 {
			if i := <-got; i != want {
				t.Errorf("got waiter %d, want %d", i, want)
			}
		}
		if len(l.waiting) > 0 {
			t.Error("got waiters left, want none")
		}
	})
}

func TestWaitersTryWhenThePauseIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := list("10.0.0.1/32")
		l, _ := full(from, 1)
		var ticket uint64
		q := &ask{dst: destA, from: from, size: 1000}
		start := time.Now()
		g, err := l.await(t.Context(), []*ask{q}, &ticket)
		if err != nil || time.Since(start) != pausePorts.first {
			t.Fatalf("got %v after %v, want a lease after %v", err, time.Since(start), pausePorts.first)
		}
		g.lease.refused(noPort, errNoPort)
		first := ticket
		// Ports of other processes have come free. Who waits comes first, and then
		// the next, for there may be more.
		next := make(chan time.Duration)
		go func() {
			var ticket uint64
			g, _ := l.await(t.Context(), []*ask{q}, &ticket)
			g.lease.opened(2)
			next <- time.Since(start)
		}()
		synctest.Wait()
		g, err = l.await(t.Context(), []*ask{q}, &ticket)
		if err != nil || ticket != first || time.Since(start) != 3*pausePorts.first {
			t.Errorf("got %v, ticket %d after %v, want ticket %d after %v: who was refused keeps its place", err, ticket, time.Since(start), first, 3*pausePorts.first)
		}
		g.lease.opened(1)
		if after := <-next; after != 3*pausePorts.first {
			t.Errorf("the next one got its lease after %v, want %v: at once", after, 3*pausePorts.first)
		}
	})
}

func TestCancelledWaitersLeaveNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := list("10.0.0.1/32", "10.0.0.2/32")
		l, open := full(from, 50)
		var wg sync.WaitGroup
		for i := range 100 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Duration(rand.IntN(1000))*time.Microsecond, cancel)
			wg.Go(func() {
				var ticket uint64
				q := &ask{dst: destA, from: from[i%2 : i%2+1], size: 1000}
				switch g, err := l.await(ctx, []*ask{q}, &ticket); {
				case err == nil && g.lease == nil:
					t.Error("got neither a lease nor an error")
				case err == nil:
					g.lease.release(false)
				case !errors.Is(err, context.Canceled):
					t.Errorf("got %v, want %v", err, context.Canceled)
				}
			})
		}
		for _, lease := range open {
			<-time.After(20 * time.Microsecond)
			lease.release(false)
		}
		wg.Wait()
		if got := l.budgets(); len(got) > 0 || len(l.waiting) > 0 {
			t.Errorf("got %+v and %d destinations with waiters, want nothing", got, len(l.waiting))
		}
	})
}

func TestOneWaitForSeveralAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := list("10.0.0.1/32")
		l, _ := full(from, 1)
		q := &ask{dst: destB, from: from, size: 1000}
		held, _, _ := l.choose(t.Context(), q)
		held.opened(1)
		lease, _, _ := l.choose(t.Context(), q)
		lease.refused(noPort, errNoPort)
		go func() {
			<-time.After(time.Millisecond)
			held.release(false)
		}()
		var ticket uint64
		g, err := l.await(t.Context(), []*ask{{dst: destA, from: from, size: 1000}, q}, &ticket)
		if err != nil || g.ask != 1 || g.lease.account.dest.addr != destB {
			t.Errorf("got %v, ask %d, want the second one", err, g.ask)
		}
		g.lease.release(false)
		if len(l.waiting) > 0 {
			t.Error("got a waiter at the other destination still, want none")
		}
	})
}

func TestViewsOfNarrowRangesCountTheirPortsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		all := ephemeralPorts().all
		src := list("10.0.0.1/32")
		low := PortRange{Lo: all.Lo, Hi: all.Lo + 9}
		for i := range uint16(20) {
			lease, _, _ := l.choose(t.Context(), &ask{dst: destA, from: src, size: all.size()})
			lease.opened(all.Lo + i)
			if i < 5 {
				lease.release(true)
			}
		}
		now := l.lock()
		a := l.dests[destA].accounts[accountKey{src: src[0].Addr()}]
		got := []string{fmt.Sprint(a.budgetLocked(a.viewLocked(&ask{size: all.size()}), now).Used() < 0.5), ""}
		v := a.viewLocked(&ask{ports: low, size: low.size()})
		got[1] = fmt.Sprint(v.size, v.open, v.waits)
		l.mu.Unlock()
		if want := fmt.Sprint(10, 5, 5); got[1] != want || got[0] != "true" {
			t.Errorf("got size, open and waits %q, want %q", got, want)
		}
		// It is full for who is bound to it, and so another source is taken.
		from := list("10.0.0.1/32", "10.0.0.2/32")
		for range 5 {
			lease, _, _ := l.choose(t.Context(), &ask{dst: destA, from: from, ports: low, size: low.size()})
			if want := netip.MustParseAddr("10.0.0.2"); lease.src != want {
				t.Errorf("got %v, want %v, which has room", lease.src, want)
			}
		}
	})
}
