package dialer

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// waiter starts a dial that waits, and returns what it gets.
func waiter(t *testing.T, l *ledger, q *ask) chan *lease {
	got := make(chan *lease, 1)
	go func() {
		var ticket uint64
		g, err := l.await(t.Context(), []*ask{q}, &ticket)
		if err != nil {
			t.Error(err)
		}
		got <- g.lease
	}()
	synctest.Wait()
	return got
}

// gotNow is what was got by now.
func (l *ledger) gotNow(got chan *lease) *lease {
	synctest.Wait()
	select {
	case lease := <-got:
		return lease
	default:
		return nil
	}
}

func TestNobodyWaitsForPortsOfASourceThatCouldNotUseThem(t *testing.T) {
	type leases = chan *lease
	for name, f := range map[string]fault{"removed": notOurs, "no way": noWay} {
		for kind, from := range map[string]sources{"bound": list("10.0.0.1/32"), "unbound": nil} {
			if from == nil && f == notOurs {
				continue
			}
			synctest.Test(t, func(t *testing.T) {
				q := &ask{dst: destA, from: from, size: 1000}
				l := newLedger()
				l.lock()
				a := l.destLocked(destA).accountLocked(accountKey{})
				if from != nil {
					a = l.destLocked(destA).accountLocked(accountKey{src: from[0].Addr()})
				}
				open := a.takeLocked(q, l.now())
				a.viewLocked(q).refuseLocked(errNoPort, l.now(), false)
				l.mu.Unlock()
				first, second, third := waiter(t, l, q), waiter(t, l, q), waiter(t, l, q)
				start := time.Now()
				open.release(false)
				tried := l.gotNow(first)
				if tried == nil || l.gotNow(second) != nil {
					t.Fatalf("%s, %s: a port came free: want the first to have it, and no other", name, kind)
				}
				tried.refused(f, errNoPort)
				for _, got := range []leases{second, third} {
					lease := l.gotNow(got)
					if lease == nil {
						t.Fatalf("%s, %s: got nothing, want a try at once: there is nothing to wait for", name, kind)
					}
					lease.refused(f, errNoPort)
				}
				// Who comes now is not to wait either.
				if lease := l.gotNow(waiter(t, l, q)); lease == nil {
					t.Errorf("%s, %s: a dial that comes later waits", name, kind)
				} else {
					lease.release(false)
				}
				if took := time.Since(start); took != 0 {
					t.Errorf("%s, %s: took %v, want it at once", name, kind, took)
				}
			})
		}
	}
}

func TestSourceThatIsRemovedWhileItPausesIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := list("10.0.0.1/32")
		l, _ := full(from, 1)
		other, _, _ := l.choose(t.Context(), &ask{dst: destB, from: from, size: 1000})
		got := waiter(t, l, &ask{dst: destA, from: from, size: 1000})
		other.refused(notOurs, errNoPort) // a dial to somewhere else finds out
		lease := l.gotNow(got)
		if lease == nil {
			t.Fatal("got a dial that waits, want it to try: the source is gone")
		}
		lease.refused(notOurs, errNoPort)
	})
}

func TestPortOfASourceWithoutAWayIsNobodys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := list("10.0.0.1/32", "10.0.0.2/32")
		l, open := full(from, 2)
		q := &ask{dst: destA, from: from, size: 1000}
		<-time.After(pausePorts.first)
		// The first has ports again, as it seems, and no way.
		lost, good := open[0], open[1]
		l.lock()
		lost.account.path.begin(l.now(), pausePath, false)
		good.view.paused.begin(l.now(), pausePorts, true)
		l.mu.Unlock()
		got := waiter(t, l, q)
		lost.release(false)
		if lease := l.gotNow(got); lease != nil {
			t.Fatalf("got %v, want the dial to go on waiting for %v: there is no way from the other", lease.src, good.src)
		}
		good.release(false)
		lease := l.gotNow(got)
		if lease == nil || lease.src != good.src {
			t.Fatalf("got %v, want a port of %v", lease, good.src)
		}
		lease.release(false)
	})
}

func TestNoDialOvertakesThoseWhoWait(t *testing.T) {
	for name, from := range map[string]sources{"bound": list("10.0.0.1/32"), "unbound": nil} {
		synctest.Test(t, func(t *testing.T) {
			q := &ask{dst: destA, from: from, size: 1000}
			l := newLedger()
			l.lock()
			key := accountKey{}
			if from != nil {
				key.src = from[0].Addr()
			}
			a := l.destLocked(destA).accountLocked(key)
			open := []*lease{a.takeLocked(q, l.now()), a.takeLocked(q, l.now())}
			a.viewLocked(q).refuseLocked(errNoPort, l.now(), false)
			l.mu.Unlock()
			outcome := func() outcome {
				lease, o, _ := l.choose(context.Background(), q)
				lease.release(false)
				return o
			}
			first, second, third := waiter(t, l, q), waiter(t, l, q), waiter(t, l, q)
			open[0].release(false)
			open[1].release(false)
			a1, a2 := l.gotNow(first), l.gotNow(second)
			if a1 == nil || a2 == nil {
				t.Fatalf("%s: two ports came free, and two waiters got %v and %v", name, a1, a2)
			}
			// Until it is known that the kernel found the ports they are theirs.
			fourth := waiter(t, l, q)
			if got := outcome(); got != outOfPorts || l.gotNow(fourth) != nil {
				t.Errorf("%s: got %d, want %d: others have waited", name, got, outOfPorts)
			}
			a1.refused(noPort, errNoPort) // somebody else's process was faster
			var ticket uint64 = 1         // of the first
			back := make(chan *lease, 1)
			go func() {
				g, _ := l.await(t.Context(), []*ask{q}, &ticket)
				back <- g.lease
			}()
			synctest.Wait()
			a2.opened(1)
			a1 = l.gotNow(back)
			if a1 == nil || l.gotNow(third) != nil {
				t.Fatalf("%s: want who was refused to be the next", name)
			}
			a1.opened(2)
			for _, got := range []chan *lease{third, fourth} {
				lease := l.gotNow(got)
				if lease == nil {
					t.Fatalf("%s: got nothing, want the next in line to try after the one before has got a port", name)
				}
				lease.opened(3)
			}
			if got := outcome(); got != chosen {
				t.Errorf("%s: got %d with nobody waiting, want %d", name, got, chosen)
			}
		})
	}
}

func TestDialThatOvertakesIsHeldOffForAMomentOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := list("10.0.0.1/32")
		l, open := full(from, 1)
		got := waiter(t, l, &ask{dst: destA, from: from, size: 1000})
		open[0].release(false)
		lease := l.gotNow(got) // its peer does not answer, and it holds a port
		<-time.After(pausePorts.first)
		if got := l.outcome(from); got != chosen {
			t.Errorf("got %d, want %d: whether there was a port has shown", got, chosen)
		}
		lease.release(false)
	})
}

func TestExplicitPortThatIsTakenDoesNotStopTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		r := PortRange{Lo: 1000, Hi: 1001}
		q := &ask{dst: destA, from: list("10.0.0.1/32"), explicit: r, size: 2}
		one, _, _ := l.choose(t.Context(), q)
		two, _, _ := l.choose(t.Context(), q)
		one.opened(one.port)
		two.opened(two.port)
		if _, o, _ := l.choose(t.Context(), q); o != outOfPorts {
			t.Fatalf("got %d, want %d", o, outOfPorts)
		}
		first, second := waiter(t, l, q), waiter(t, l, q)
		one.release(false)
		lease := l.gotNow(first)
		l.lock()
		lease.account.choice.giveBack(two.port + 1000) // one more that is free
		l.mu.Unlock()
		lease.refused(noPort, errNoPort) // and its dial ends there
		if lease = l.gotNow(second); lease == nil {
			t.Fatal("got nothing, want the other port for who is next")
		}
		lease.release(false)
	})
}
