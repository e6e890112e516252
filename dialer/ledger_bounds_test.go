package dialer

import (
	"net/netip"
	"testing"
)

// Each dial from a large prefix has a source of its own.
func TestSourcesOfABusyDestinationAreForgotten(t *testing.T) {
	l := newLedger()
	from := list("2001:db8::/64")
	dst := netip.MustParseAddrPort("[2001:db8:1::1]:443")
	var open []*lease
	for i := range 10 * maxAccounts {
		lease := l.from(dst, from)
		switch {
		case i < 2*maxAccounts:
			lease.opened(1)
			open = append(open, lease)
		case i%2 == 0:
			lease.opened(1)
			lease.release(false)
		default:
			lease.refused(noWay, errNoPort)
		}
	}
	if got, most := len(l.dests[dst].accounts), 4*maxAccounts+1; got > most {
		t.Errorf("got %d sources remembered with %d in use, want at most %d", got, len(open), most)
	}
	if got := len(l.budgets()); got != len(open) {
		t.Errorf("got %d budgets, want those of the %d connections", got, len(open))
	}
	for _, lease := range open {
		lease.release(false)
	}
	for range 2 * maxAccounts {
		l.from(dst, from).release(false)
	}
	if got := len(l.budgets()); got != 0 {
		t.Errorf("got %d budgets, want an empty ledger", got)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if got, most := len(l.dests[dst].accounts), 4*maxAccounts+1; got > most {
		t.Errorf("got %d sources remembered with none in use, want at most %d", got, most)
	}
}

// Whoever waits for a port keeps the destination, and leaves it to be forgotten.
func TestDestinationsThatWereWaitedForAreForgotten(t *testing.T) {
	l := newLedger()
	var waiters []*portWaiter
	for i := range 2 * maxEmpty {
		q := &ask{dst: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 443), from: list("10.0.0.1/32")}
		l.mu.Lock()
		a := l.destLocked(q.dst).accountLocked(accountKey{src: q.from[0].Addr()})
		a.viewLocked(q).paused = pause{until: 1 << 60, step: 1} // longer than the test lasts
		l.mu.Unlock()
		w, ticket := &portWaiter{asks: []*ask{q}, got: make(chan grant, 1)}, uint64(0)
		if g := l.enqueue(w, &ticket); g.lease != nil {
			t.Fatalf("got a port towards %v, want none as long as its source pauses", q.dst)
		}
		waiters = append(waiters, w)
	}
	if got := len(l.dests); got != len(waiters) {
		t.Errorf("got %d destinations remembered, want all %d that are waited for", got, len(waiters))
	}
	for _, w := range waiters {
		l.leave(w)
	}
	if got := len(l.dests); got > maxEmpty {
		t.Errorf("got %d destinations remembered, want at most %d: nothing is in use", got, maxEmpty)
	}
}
