package dialer

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
)

// ledger counts connections, from the moment that their source is chosen until
// they are closed, by destination and source. Entries go when they reach zero.
type ledger struct {
	// mu guards what follows. Nothing is called under it that leaves this file,
	// but for the arithmetic of sources.
	mu   sync.Mutex
	open map[netip.AddrPort]map[netip.Addr]int

	// turn says at which candidate the search for the next source begins, so
	// that equals take turns. Destinations share it by hash: it would be too
	// much to remember for each, and is not worth it where two coincide.
	turn [256]int
	seed maphash.Seed
}

// connections is the ledger of the process: local ports are a resource of the
// host, so Dialers that know nothing of each other still compete for them.
var connections = newLedger()

func newLedger() *ledger {
	return &ledger{open: make(map[netip.AddrPort]map[netip.Addr]int), seed: maphash.MakeSeed()}
}

// choose picks the source with the fewest connections to dst, leaving out those
// tried, and counts one on it. It returns nil if none is left.
func (l *ledger) choose(dst netip.AddrPort, from sources, tried []netip.Addr) *lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	v6 := dst.Addr().Is6()
	n := from.count(v6)
	turn := &l.turn[maphash.Comparable(l.seed, dst)%uint64(len(l.turn))]
	open := l.open[dst]
	var best candidate
	for place, src := range from.candidates(v6, tried) {
		c := candidate{src, open[src], (place - *turn%n + n) % n}
		if !best.src.IsValid() || c.before(best) {
			best = c
		}
	}
	if !best.src.IsValid() {
		return nil
	}
	*turn = (*turn%n + best.distance + 1) % n
	return l.addLocked(dst, best.src)
}

// candidate is a source that may be chosen.
type candidate struct {
	src      netip.Addr
	open     int // connections to the destination
	distance int // from the candidate whose turn it is
}

func (c candidate) before(d candidate) bool {
	return c.open < d.open || c.open == d.open && c.distance < d.distance
}

// add counts a connection from this very source.
func (l *ledger) add(dst netip.AddrPort, src netip.Addr) *lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.addLocked(dst, src)
}

func (l *ledger) addLocked(dst netip.AddrPort, src netip.Addr) *lease {
	bySource := l.open[dst]
	if bySource == nil {
		bySource = make(map[netip.Addr]int)
		l.open[dst] = bySource
	}
	bySource[src]++
	return &lease{ledger: l, dst: dst, src: src}
}

func (l *ledger) remove(dst netip.AddrPort, src netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	bySource := l.open[dst]
	if bySource[src]--; bySource[src] > 0 {
		return
	}
	if delete(bySource, src); len(bySource) == 0 {
		delete(l.open, dst)
	}
}

// lease is one connection that is counted in a ledger.
type lease struct {
	ledger *ledger
	dst    netip.AddrPort
	src    netip.Addr
	ended  atomic.Bool
}

// release gives the count back, once. A nil lease counts nothing.
func (l *lease) release() {
	if l != nil && !l.ended.Swap(true) {
		l.ledger.remove(l.dst, l.src)
	}
}
