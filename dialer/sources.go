package dialer

import (
	"iter"
	"math/rand/v2"
	"net/netip"
	"slices"
)

const (
	// maxListed is the size up to which a prefix is gone through address by
	// address, as if each had been given on its own.
	maxListed = 256
	// samples is how many random addresses of a larger prefix stand for it when
	// a source is chosen: a few make a busy one unlikely to be taken.
	samples = 4
	// maxSampled is how many addresses of a larger prefix one dial tries. If so
	// many fail, the prefix as a whole is at fault.
	maxSampled = 8
)

// sources are the prefixes of one Dialer, valid ones only.
type sources []netip.Prefix

// candidates goes through the addresses of the family that a dial may still
// try. Large prefixes are represented by random addresses, or with a key by those
// that the key always leads to.
func (s sources) candidates(v6 bool, tried []netip.Addr, key string) iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for _, p := range s {
			if p.Addr().Is6() != v6 {
				continue
			}
			if p.IsSingleIP() {
				if a := p.Addr(); !slices.Contains(tried, a) && !yield(a) {
					return
				}
				continue
			}
			if !prefixLeft(p, tried) {
				continue
			}
			for a := range prefixCandidates(p, len(tried), key) {
				if !slices.Contains(tried, a) && !yield(a) {
					return
				}
			}
		}
	}
}

// prefixCandidates goes through the addresses of a prefix, of a large one through
// some, which are other ones after each failure.
func prefixCandidates(p netip.Prefix, failures int, key string) iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		n := hosts(p)
		if n > maxListed {
			random, count := rand.Uint32, samples
			if key != "" {
				// One, and another one for each that failed.
				random, count = keyed(key).Uint32, failures+1
			}
			for range count {
				if !yield(randomHost(p, random)) {
					return
				}
			}
			return
		}
		for a := firstHost(p); n > 0; n-- {
			if !yield(a) {
				return
			}
			a = a.Next()
		}
	}
}

// left reports whether a dial that has tried these addresses has another to try.
func (s sources) left(v6 bool, tried []netip.Addr) bool {
	for range s.candidates(v6, tried, "") {
		return true
	}
	return false
}

// contain reports whether the address is one of the sources.
func (s sources) contain(a netip.Addr) bool {
	for _, p := range s {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func prefixLeft(p netip.Prefix, tried []netip.Addr) bool {
	n := hosts(p)
	if n > maxListed {
		n = maxSampled
	}
	for _, a := range tried {
		if p.Contains(a) {
			n--
		}
	}
	return n > 0
}

// single reports whether the address was given on its own, not as one of a
// prefix.
func (s sources) single(a netip.Addr) bool {
	return slices.Contains(s, netip.PrefixFrom(a, a.BitLen()))
}

// hosts is how many addresses of the prefix can be bound, maxListed+1 standing
// for any greater number.
func hosts(p netip.Prefix) int {
	free := p.Addr().BitLen() - p.Bits()
	if free > 16 {
		return maxListed + 1
	}
	n := 1 << free
	if hasEnds(p) {
		n -= 2
	}
	return min(n, maxListed+1)
}

// hasEnds reports whether the first and the last address of the prefix name the
// network and its broadcast, not a host.
func hasEnds(p netip.Prefix) bool { return p.Addr().Is4() && p.Bits() < 31 }

func firstHost(p netip.Prefix) netip.Addr {
	if hasEnds(p) {
		return p.Addr().Next()
	}
	return p.Addr()
}

// randomHost is a random address of a prefix with more than two.
func randomHost(p netip.Prefix, random func() uint32) netip.Addr {
	for {
		a := randomAddr(p, random)
		if !hasEnds(p) || a != p.Addr() && p.Contains(a.Next()) {
			return a
		}
	}
}

func randomAddr(p netip.Prefix, random func() uint32) netip.Addr {
	b := p.Addr().AsSlice()
	for i := range b {
		fixed := min(max(p.Bits()-8*i, 0), 8)
		b[i] |= byte(random()) & (0xff >> fixed)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
