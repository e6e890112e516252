package pool

import (
	"math/rand/v2"
	"testing"
)

func TestLeasesAreSpreadOverConnectionsWithSeveralSlots(t *testing.T) {
	inBubble(t, Config[string, *wire]{MaxDialsPerKey: -1}, func(r *rig) {
		const conns, slots = 20, 10
		var leases []*Lease[string, *wire]
		gets := r.gets("a", conns)
		for _, call := range r.dials() {
			call.succeed(slots)
		}
		for _, g := range gets {
			leases = append(leases, g.leased())
		}
		for _, l := range leases {
			l.Release()
		}
		leases = nil
		for n := 1; n <= conns*slots; n++ {
			l, err := r.pool.Get(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			leases = append(leases, l)
			most, least := spread(leases, conns)
			if most-least > 1 {
				t.Fatalf("%d leases: between %d and %d on a connection, want them spread evenly", n, least, most)
			}
		}
		r.wantStats(Stats{Open: conns, Leases: conns * slots})
	})
}

// spread is how many of the leases the connections have at most and at least.
func spread(leases []*Lease[string, *wire], conns int) (most, least int) {
	counts := make(map[*wire]int)
	for _, l := range leases {
		counts[l.Value()]++
	}
	least = len(leases)
	for _, n := range counts {
		most, least = max(most, n), min(least, n)
	}
	if len(counts) < conns {
		least = 0
	}
	return most, least
}

func TestFreeConnectionsComeInOrder(t *testing.T) {
	f := free[string, *wire]{unused: list[Conn[string, *wire]]{links: (*Conn[string, *wire]).unusedLinks}}
	var all []*Conn[string, *wire]
	for range 50 {
		all = append(all, &Conn[string, *wire]{slots: 1 + rand.N(5)})
	}
	for range 10000 {
		c := all[rand.N(len(all))]
		switch {
		case rand.N(2) == 0 && f.has(c):
			c.leased++
			f.leased(c)
		case c.leased > 0:
			f.drop(c)
			c.leased--
			f.add(c)
		case f.has(c):
			f.drop(c)
		default:
			f.add(c)
		}
		var want *Conn[string, *wire]
		for _, c := range all {
			if f.has(c) && (want == nil || c.leased < want.leased || c.leased == want.leased && c.recency > want.recency) {
				want = c
			}
		}
		if got := f.first(); got != want {
			t.Fatalf("first: got %+v, want %+v", got, want)
		}
	}
}
