package dialer

import (
	"context"
	"encoding/binary"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
)

// Chooser picks the source of a dial. Implementations other than those of this
// package are welcome. They must be safe for concurrent use and should not
// block: a dial waits for the answer, but nobody else does.
type Chooser interface {
	// Choose returns the index in from of the source to dial dst from. There is
	// at least one, and all are of dst's family. They stand in the order of
	// Dialer.Sources, followed by Dialer.Interfaces.
	//
	// Sources that are out of ports for dst, or no address of this host, or
	// without a way to dst, are left out as long as there are others, as are
	// those that the dial has tried before; so are those with less than 5 % of
	// their ports left if another has more. The slice is the caller's and good
	// until Choose returns. An index out of range fails the dial.
	Choose(ctx context.Context, dst netip.AddrPort, from []Budget) int
}

// MostRoom chooses the source with the most ports left for the destination. It
// is what a nil Chooser means. Equals take turns.
type MostRoom struct{}

// Choose implements Chooser. Among equals it chooses at random; the Dialer, which
// knows whose turn it is, does not call it.
func (MostRoom) Choose(_ context.Context, _ netip.AddrPort, from []Budget) int {
	return mostRoom(from, rand.IntN(len(from)))
}

// plain turns a pointer to a Chooser that the Dialer knows into its value, so that
// &Sticky{} and &MostRoom{} are treated as Sticky{} and MostRoom{} are.
func plain(c Chooser) Chooser {
	switch c.(type) {
	case *MostRoom:
		return MostRoom{}
	case *Sticky:
		return Sticky{}
	}
	return c
}

// mostRoom is the first of those with the most room, beginning at a place.
func mostRoom(from []Budget, start int) int {
	best := start
	for i := 1; i < len(from); i++ {
		if at := (start + i) % len(from); from[at].Room() > from[best].Room() {
			best = at
		}
	}
	return best
}

// RoundRobin lets the sources take turns, whatever they have in use. Its zero
// value is ready; it must not be copied.
type RoundRobin struct{ next atomic.Uint64 }

// Choose implements Chooser.
func (r *RoundRobin) Choose(_ context.Context, _ netip.AddrPort, from []Budget) int {
	return int((r.next.Add(1) - 1) % uint64(len(from)))
}

// Random chooses at random, each source with the same probability.
type Random struct{}

// Choose implements Chooser.
func (Random) Choose(_ context.Context, _ netip.AddrPort, from []Budget) int {
	return rand.IntN(len(from))
}

// Sticky chooses the same source for the same key, which [WithStickyKey] puts
// into the context: in every dial, for every destination, in every process. When
// that source has no room it is another one, again the same for all; when sources
// are added or taken away, only the keys change that have to (rendezvous
// hashing). Without a key it chooses like MostRoom.
//
// Of a prefix of more than 256 addresses, the key chooses the address as well.
type Sticky struct{}

// Choose implements Chooser.
func (Sticky) Choose(ctx context.Context, dst netip.AddrPort, from []Budget) int {
	key := StickyKey(ctx)
	if key == "" {
		return MostRoom{}.Choose(ctx, dst, from)
	}
	best, most := 0, uint64(0)
	for i, b := range from {
		if w := weight(key, b.Source); w >= most {
			best, most = i, w
		}
	}
	return best
}

// weight is what a source weighs for a key. The same in every process, so that a
// restart moves nobody to another source.
func weight(key string, src netip.Addr) uint64 {
	h := fnv.New64a()
	h.Write([]byte(key))
	a := src.As16()
	h.Write(a[:])
	return mix(h.Sum64())
}

// mix spreads the last bytes' influence, which FNV leaves in the low bits, over
// the whole word (the finalizer of MurmurHash3).
func mix(x uint64) uint64 {
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// keyed is a sequence of random numbers that depends on the key alone.
func keyed(key string) *rand.Rand {
	var seed [32]byte
	h := fnv.New128a()
	h.Write([]byte(key))
	binary.BigEndian.PutUint64(seed[:], uint64(len(key)))
	h.Sum(seed[8:8])
	return rand.New(rand.NewChaCha8(seed))
}
