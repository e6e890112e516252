package dialer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// MostRoom does not look at every source if one has nothing in use. What it
// chooses must be what it would choose among those that a Chooser is shown.
func TestMostRoomChoosesAmongThoseThatAChooserIsShown(t *testing.T) {
	for name, from := range map[string]sources{
		"one":           list("10.0.0.1/32"),
		"several":       list("10.0.0.1/32", "2001:db8::1/128", "10.0.0.2/32", "10.0.1.0/30"),
		"small prefix":  list("10.0.0.0/28"),
		"whole prefix":  list("10.0.0.0/24", "10.0.1.0/31"),
		"other family":  list("2001:db8::1/128"),
		"several ports": list("10.0.0.1/32", "10.0.0.2/32", "10.0.0.3/32"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &history{t: t, l: newLedger(), rand: rand.New(rand.NewPCG(1, uint64(len(name))))}
				q := ask{dst: destA, from: from, size: 6}
				if name == "several ports" {
					q.explicit, q.size = PortRange{20000, 20005}, 6
				}
				reversed := slices.Clone(from) // of another Dialer
				slices.Reverse(reversed)
				for range 800 {
					if q.from = from; h.rand.IntN(2) == 0 {
						q.from = reversed
					}
					h.step(q)
				}
				<-time.After(2 * timeWaitTime) // the timers end with the bubble
			})
		})
	}
}

// history is a ledger to which things happen at random.
type history struct {
	t      *testing.T
	l      *ledger
	rand   *rand.Rand
	leases []*lease
	port   uint16
}

// step chooses, compares, and has something happen to a lease.
func (h *history) step(q ask) {
	if n := len(h.leases); n > 0 && h.rand.IntN(3) == 0 {
		lease := h.leases[h.rand.IntN(n)]
		if q.tried = []netip.Addr{lease.src}; h.rand.IntN(2) == 0 {
			q.tried = append(q.tried, h.leases[h.rand.IntN(n)].src)
		}
	}
	if lease := h.choose(&q); lease != nil {
		h.leases = append(h.leases, lease)
		h.happen(lease)
	}
	for len(h.leases) > 0 && (h.rand.IntN(2) == 0 || len(h.leases) > 1000) {
		i := h.rand.IntN(len(h.leases))
		h.leases[i].release(h.rand.IntN(4) == 0)
		h.leases = slices.Delete(h.leases, i, i+1)
	}
	<-time.After(time.Duration(h.rand.IntN(200)) * time.Millisecond)
}

func (h *history) happen(lease *lease) {
	switch h.rand.IntN(12) {
	case 0:
		lease.refused(noPort, syscall.EADDRNOTAVAIL)
	case 1:
		lease.refused(noWay, syscall.EHOSTUNREACH)
	case 2:
		lease.refused(notOurs, syscall.EADDRNOTAVAIL)
	case 3: // goes on
	default:
		if h.port++; lease.port == 0 {
			lease.port = 10000 + h.port
		}
		lease.opened(lease.port)
	}
}

// choose holds the choice against the candidates.
func (h *history) choose(q *ask) *lease {
	now := h.l.lock()
	all, want := h.l.candidatesLocked(q, now)
	for _, b := range all {
		used := 0
		if d := h.l.dests[q.dst]; d != nil && d.accounts[accountKey{src: b.Source, explicit: q.explicit}] != nil {
			a := d.accounts[accountKey{src: b.Source, explicit: q.explicit}]
			used = a.viewLocked(q).usedLocked()
		}
		if b.Open+b.TimeWait != used {
			h.t.Fatalf("got candidate %+v, want %d in use", b, used)
		}
	}
	h.l.mu.Unlock()
	lease, got, _ := h.l.choose(context.Background(), q)
	if got != want && (q.explicit == PortRange{} || got != outOfPorts) {
		h.t.Fatalf("got outcome %d, want %d of candidates %+v", got, want, all)
	}
	if lease == nil {
		return nil
	}
	i := slices.IndexFunc(all, func(b Budget) bool { return b.Source == lease.src })
	if i < 0 {
		h.t.Fatalf("got %v, which is none of the candidates %+v", lease.src, all)
	}
	for _, b := range all {
		if b.Room() > all[i].Room() {
			h.t.Fatalf("got %+v, want %+v, which has more room", all[i], b)
		}
	}
	return lease
}

func TestEachAddressOfAPrefixHasItsTurn(t *testing.T) {
	from := list("10.0.0.9/32", "10.0.1.0/28", "2001:db8::/64", "10.0.2.0/31")
	const n = 1 + 14 + 2
	for _, held := range []bool{false, true} {
		l := newLedger()
		for round := range 3 {
			seen := map[netip.Addr]bool{}
			for range n {
				lease := l.from(destA, from)
				seen[lease.src] = true
				if !held {
					lease.release(false)
				}
			}
			if len(seen) != n {
				t.Errorf("held %v, round %d: got %d addresses in %d dials, want each once", held, round, len(seen), n)
			}
		}
	}
}

func TestPlacesAreGoneThroughFromAnyOfThem(t *testing.T) {
	s := list("10.0.0.9/32", "10.0.1.0/29", "2001:db8::1/128", "10.0.2.0/31")
	all := candidatesOf(s, false)
	for start := range 2 * len(all) {
		var got []string
		for place, a := range s.inTurn(false, nil, "", start) {
			got = append(got, a.String())
			if a.String() != all[place] {
				t.Errorf("from %d: got %v at place %d, want %s", start, a, place, all[place])
			}
		}
		at := start % len(all)
		if want := slices.Concat(all[at:], all[:at]); !slices.Equal(got, want) {
			t.Errorf("from %d: got %q, want %q", start, got, want)
		}
	}
}

// BenchmarkChoose is what the ledger adds to a dial and its close.
func BenchmarkChoose(b *testing.B) {
	for name, from := range map[string]sources{
		"sources=1":       list("10.0.0.1/32"),
		"sources=3":       list("10.0.0.1/32", "10.0.0.2/32", "10.0.0.3/32"),
		"sources=16":      list("10.0.0.0/28", "10.1.0.0/31"),
		"sources=254":     list("10.0.0.0/24"),
		"sources=largeV4": list("10.0.0.0/8"),
	} {
		for _, held := range []int{0, 254} {
			b.Run(fmt.Sprintf("%s/held=%d", name, held), func(b *testing.B) {
				l := newLedger()
				for range held {
					l.from(destA, from).opened(1)
				}
				b.ReportAllocs()
				for b.Loop() {
					lease := l.from(destA, from)
					lease.opened(2)
					lease.release(false)
				}
			})
		}
	}
}
