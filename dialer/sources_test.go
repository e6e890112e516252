package dialer

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

func list(texts ...string) sources {
	var s sources
	for _, text := range texts {
		s = append(s, netip.MustParsePrefix(text))
	}
	return s
}

func candidatesOf(s sources, v6 bool, tried ...netip.Addr) []string {
	var all []string
	for a := range s.candidates(v6, tried, "") {
		all = append(all, a.String())
	}
	return all
}

func TestSmallPrefixesAreGoneThroughAddressByAddress(t *testing.T) {
	for _, test := range []struct {
		from sources
		v6   bool
		want []string
	}{
		{list("10.0.0.1/32", "2001:db8::1/128"), false, []string{"10.0.0.1"}},
		{list("10.0.0.1/32", "2001:db8::1/128"), true, []string{"2001:db8::1"}},
		{list("10.0.0.0/30"), false, []string{"10.0.0.1", "10.0.0.2"}},
		{list("10.0.0.0/31"), false, []string{"10.0.0.0", "10.0.0.1"}},
		{list("2001:db8::/127"), true, []string{"2001:db8::", "2001:db8::1"}},
		{list("10.0.0.4/30", "10.0.0.9/32"), false, []string{"10.0.0.5", "10.0.0.6", "10.0.0.9"}},
		{list("10.0.0.1/32"), true, nil},
		{nil, false, nil},
	} {
		got := candidatesOf(test.from, test.v6)
		if !slices.Equal(got, test.want) {
			t.Errorf("%v: got %q, want %q", test.from, got, test.want)
		}
	}
}

func TestPrefixesOfUpTo256AddressesAreTriedWhole(t *testing.T) {
	for text, want := range map[string]int{"10.0.0.0/24": 254, "10.0.0.0/23": maxSampled, "2001:db8::/120": 256, "2001:db8::/119": maxSampled} {
		s := list(text)
		v6 := s[0].Addr().Is6()
		tried := []netip.Addr{}
		for s.left(v6, tried) {
			for a := range s.candidates(v6, tried, "") {
				tried = append(tried, a)
				break
			}
			if len(tried) > want {
				break
			}
		}
		if len(tried) != want {
			t.Errorf("%s: got %d addresses tried, want %d", text, len(tried), want)
		}
		slices.SortFunc(tried, netip.Addr.Compare)
		if distinct := len(slices.Compact(tried)); distinct != len(tried) {
			t.Errorf("%s: got %d distinct addresses of %d, want none tried twice", text, distinct, len(tried))
		}
	}
}

func TestSpentPrefixLeavesTheOthers(t *testing.T) {
	s := list("2001:db8::/64", "2001:db8:1::1/128")
	var tried []netip.Addr
	for range maxSampled {
		tried = append(tried, randomHost(s[0], rand.Uint32))
	}
	if got, want := candidatesOf(s, true, tried...), []string{"2001:db8:1::1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q: %d addresses of the /64 were tried", got, want, maxSampled)
	}
	tried = append(tried, s[1].Addr())
	if s.left(true, tried) {
		t.Error("got sources left, want none")
	}
}

func TestRandomHostsFillThePrefixAndStayInIt(t *testing.T) {
	for _, text := range []string{"10.8.0.0/13", "10.0.2.0/23", "2001:db8::/64", "2001:db8::/47", "2001:db8::/119", "2001:db8::/100"} {
		p := netip.MustParsePrefix(text)
		var ones, zeros [16]byte // bits seen set and clear
		for range 500 {
			a := randomHost(p, rand.Uint32)
			if !p.Contains(a) {
				t.Fatalf("%s: got %v, want an address of it", text, a)
			}
			if a.Is4() && (a == p.Addr() || !p.Contains(a.Next())) {
				t.Fatalf("%s: got %v, want neither the network nor its broadcast address", text, a)
			}
			for i, b := range a.AsSlice() {
				ones[i] |= b
				zeros[i] |= ^b
			}
		}
		for bit := p.Bits(); bit < p.Addr().BitLen(); bit++ {
			mask := byte(0x80) >> (bit % 8)
			if ones[bit/8]&mask == 0 || zeros[bit/8]&mask == 0 {
				t.Errorf("%s: bit %d is the same in 500 addresses, want it random", text, bit)
			}
		}
	}
}

func TestSinglesAreToldFromAddressesOfPrefixes(t *testing.T) {
	s := list("10.0.0.0/30", "10.0.0.1/32")
	for text, want := range map[string]bool{"10.0.0.1": true, "10.0.0.2": false} {
		if got := s.single(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s of %v: got single %v, want %v", text, s, got, want)
		}
	}
}
