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
		for _, a := range s.inTurn(v6, tried, key, 0) {
			if !yield(a) {
				return
			}
		}
	}
}

// inTurn goes through the candidates with their places, beginning at one of them
// and coming to those before it last. A prefix that is gone through address by
// address has a place for each, a larger one has a single place.
func (s sources) inTurn(v6 bool, tried []netip.Addr, key string, start int) iter.Seq2[int, netip.Addr] {
	return func(yield func(int, netip.Addr) bool) {
		n := 0
		for _, p := range s {
			if p.Addr().Is6() == v6 {
				n += places(p)
			}
		}
		start %= max(n, 1)
		_ = s.walk(v6, tried, key, start, n, yield) && s.walk(v6, tried, key, 0, start, yield)
	}
}

// walk goes through the candidates from one place up to another, and reports
// whether it was not stopped.
func (s sources) walk(v6 bool, tried []netip.Addr, key string, from, to int, yield func(int, netip.Addr) bool) bool {
	at := 0
	for _, p := range s {
		if p.Addr().Is6() != v6 {
			continue
		}
		base, n := at, places(p)
		at += n
		first, end := max(from-base, 0), min(to-base, n)
		if first >= end || !prefixLeft(p, tried) {
			continue
		}
		for i, a := range prefixCandidates(p, first, end, len(tried), key) {
			if !slices.Contains(tried, a) && !yield(base+i, a) {
				return false
			}
		}
	}
	return true
}

// places is how many addresses of a prefix are gone through one by one, 1 for all
// of a large one.
func places(p netip.Prefix) int {
	if n := hosts(p); n <= maxListed {
		return n
	}
	return 1
}

// prefixCandidates goes through the addresses of a prefix from one place up to
// another, of a large one through some, which are other ones after each failure.
func prefixCandidates(p netip.Prefix, first, end, failures int, key string) iter.Seq2[int, netip.Addr] {
	return func(yield func(int, netip.Addr) bool) {
		if hosts(p) > maxListed {
			random, count := rand.Uint32, samples
			if key != "" {
				// One, and another one for each that failed.
				random, count = keyed(key).Uint32, failures+1
			}
			for range count {
				if !yield(0, randomHost(p, random)) {
					return
				}
			}
			return
		}
		a := hostAt(p, first)
		for i := first; i < end; i++ {
			if !yield(i, a) {
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
func (s sources) contain(a netip.Addr) bool { return s.holding(a).IsValid() }

// holding is the prefix that has the address, the zero Prefix if none does.
func (s sources) holding(a netip.Addr) netip.Prefix {
	for _, p := range s {
		if p.Contains(a) {
			return p
		}
	}
	return netip.Prefix{}
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

// hostAt is one of the hosts of a prefix of up to maxListed, which differ in their
// last byte.
func hostAt(p netip.Prefix, i int) netip.Addr {
	if hasEnds(p) {
		i++
	}
	if p.Addr().Is4() {
		a := p.Addr().As4()
		a[3] += byte(i)
		return netip.AddrFrom4(a)
	}
	a := p.Addr().As16()
	a[15] += byte(i)
	return netip.AddrFrom16(a)
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
