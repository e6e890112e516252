package dialer

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	destA = netip.MustParseAddrPort("192.0.2.1:443")
	destB = netip.MustParseAddrPort("192.0.2.2:443")
)

// from chooses a source as a dial does.
func (l *ledger) from(dst netip.AddrPort, from sources, tried ...netip.Addr) *lease {
	lease, _, _ := l.choose(context.Background(), &ask{dst: dst, from: from, size: 1000, tried: tried})
	return lease
}

func TestSourceWithTheFewestConnectionsIsChosen(t *testing.T) {
	l := newLedger()
	from := list("10.0.0.1/32", "10.0.0.2/32", "10.0.0.3/32")
	var leases []*lease
	for range 9 {
		leases = append(leases, l.from(destA, from))
	}
	counts := map[netip.Addr]int{}
	for _, lease := range leases {
		counts[lease.src]++
	}
	for src, n := range counts {
		if n != 3 {
			t.Errorf("got %d of 9 connections from %v, want 3", n, src)
		}
	}
	// One connection less there outweighs whose turn it is.
	freed := leases[4]
	freed.release(false)
	if got := l.from(destA, from); got.src != freed.src {
		t.Errorf("got %v, want %v, which has a connection less", got.src, freed.src)
	}
	if got := l.from(destA, from, from[0].Addr(), from[1].Addr()); got.src != from[2].Addr() {
		t.Errorf("got %v, want %v, the only one not tried", got.src, from[2].Addr())
	}
	if got := l.from(destA, from, from[0].Addr(), from[1].Addr(), from[2].Addr()); got != nil {
		t.Errorf("got %v, want none: all were tried", got.src)
	}
}

func TestEqualSourcesTakeTurns(t *testing.T) {
	l := newLedger()
	from := list("10.0.0.1/32", "10.0.0.2/32", "10.0.0.3/32")
	var got []netip.Addr
	for range 6 {
		lease := l.from(destA, from)
		got = append(got, lease.src)
		lease.release(false) // each leaves a TIME_WAIT behind, perhaps
	}
	if !slices.Equal(got[:3], got[3:]) || got[0] == got[1] || got[1] == got[2] || got[0] == got[2] {
		t.Errorf("got %v, want the three in turn, twice", got)
	}
}

func TestDestinationsAreCountedApart(t *testing.T) {
	l := newLedger()
	from := list("10.0.0.1/32", "10.0.0.2/32")
	l.add(&ask{dst: destA}, from[0].Addr())
	l.add(&ask{dst: destA}, from[0].Addr())
	l.add(&ask{dst: destB}, from[1].Addr())
	if got := l.from(destA, from); got.src != from[1].Addr() {
		t.Errorf("to A: got %v, want %v", got.src, from[1].Addr())
	}
	if got := l.from(destB, from); got.src != from[0].Addr() {
		t.Errorf("to B: got %v, want %v", got.src, from[0].Addr())
	}
}

func TestAddressesOfALargePrefixAreRarelyShared(t *testing.T) {
	l := newLedger()
	from := list("10.0.0.1/32", "2001:db8::/64")
	dst := netip.MustParseAddrPort("[2001:db8:1::1]:443")
	seen := map[netip.Addr]bool{}
	for range 100 {
		src := l.from(dst, from).src
		if seen[src] || !from[1].Contains(src) {
			t.Fatalf("got %v, want a new address of %v", src, from[1])
		}
		seen[src] = true
	}
}

func TestLedgerForgetsWhatIsReleased(t *testing.T) {
	l := newLedger()
	from := list("10.0.0.0/29")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				a, b := l.from(destA, from), l.from(destB, from)
				a.release(false)
				a.release(false) // counts once
				b.release(false)
			}
		})
	}
	wg.Wait()
	if got := l.budgets(); len(got) != 0 {
		t.Errorf("got %v, want an empty ledger", got)
	}
	(*lease)(nil).release(false) // must do nothing
}

// A connection whose peer has reset it has no port any more, but counts until it
// is closed. Meanwhile the kernel gives its port to the next.
func TestConnectionsOnTheSamePortAreCountedOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := list("10.0.0.1/32")
		for name, closes := range map[string][]struct{ second, timeWait bool }{
			"the second closes first":                      {{true, true}, {false, false}},
			"the first is thought to have left one":        {{false, true}, {true, false}},
			"both are thought to have left one":            {{false, true}, {true, true}},
			"the second closes first, without a TIME_WAIT": {{true, false}, {false, true}},
		} {
			l := newLedger()
			first, second := l.from(destA, from), l.from(destA, from)
			first.opened(1)
			second.opened(1)
			l.add(&ask{dst: destA, ports: PortRange{Lo: 1, Hi: 9}, size: 9}, from[0].Addr()).release(false) // looks at the same ports
			for _, c := range closes {
				if c.second {
					second.release(c.timeWait)
				} else {
					first.release(c.timeWait)
				}
			}
			for _, b := range l.budgets() {
				if b.Open != 0 || b.TimeWait > 1 {
					t.Errorf("%s: got %d open and %d in TIME_WAIT, want none and one at most: there is one port", name, b.Open, b.TimeWait)
				}
			}
			<-time.After(timeWaitTime)
			if got := l.budgets(); len(got) != 0 {
				t.Errorf("%s: a minute later got %+v, want an empty ledger", name, got)
			}
			l.mu.Lock()
			for i, v := range l.dests[destA].accounts[accountKey{src: from[0].Addr()}].views {
				if v.open != 0 || v.waits != 0 {
					t.Errorf("%s: view %d: got %d open and %d in TIME_WAIT, want none", name, i, v.open, v.waits)
				}
			}
			l.mu.Unlock()
			<-time.After(timeWaitTime)
			synctest.Wait()
		}
	})
}
