package dialer_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/stayopen-go/stayopen/dialer"
)

func TestValidateNamesTheFieldAndWhatItMayHold(t *testing.T) {
	sources := func(p ...netip.Prefix) dialer.Dialer { return dialer.Dialer{Sources: p} }
	ports := func(lo, hi uint16) dialer.Dialer { return dialer.Dialer{PortRange: dialer.PortRange{Lo: lo, Hi: hi}} }
	parse := netip.MustParsePrefix
	for _, test := range []struct {
		d    dialer.Dialer
		want []string // none: valid
	}{
		{dialer.Dialer{}, nil},
		{sources(prefixes("192.0.2.1/32", "192.0.3.0/24", "192.0.2.2/31", "2001:db8::1/128", "2001:db8:1::/64", "127.0.0.1/32", "10.0.0.0/8")...), nil},
		{sources(prefixes("192.0.2.1/32", "192.0.2.0/24")...), []string{"Sources[1]", "overlaps", "Sources[0]"}},
		{sources(prefixes("2001:db8::1/128", "192.0.2.1/32", "2001:db8::1/128")...), []string{"Sources[2]", "overlaps", "Sources[0]"}},
		{sources(netip.Prefix{}), []string{"Sources[0]", "invalid Prefix", "192.0.2.1/32"}},
		{sources(parse("192.0.2.1/32"), netip.PrefixFrom(netip.MustParseAddr("192.0.2.1"), 33)), []string{"Sources[1]", "invalid"}},
		{sources(netip.PrefixFrom(netip.MustParseAddr("::ffff:192.0.2.1"), 128)), []string{"Sources[0]", "IPv4-mapped", "192.0.2.1"}},
		{sources(parse("192.0.2.1/24")), []string{"Sources[0]", "192.0.2.1/32 or 192.0.2.0/24"}},
		{sources(parse("2001:db8::1/64")), []string{"Sources[0]", "2001:db8::1/128 or 2001:db8::/64"}},
		{sources(parse("0.0.0.0/32")), []string{"Sources[0]", "unspecified"}},
		{sources(parse("0.0.0.0/0")), []string{"Sources[0]", "unspecified"}},
		{sources(parse("::/128")), []string{"Sources[0]", "unspecified"}},
		{sources(parse("224.0.0.1/32")), []string{"Sources[0]", "multicast"}},
		{sources(parse("128.0.0.0/1")), []string{"Sources[0]", "multicast"}},
		{sources(parse("ff02::1/128")), []string{"Sources[0]", "multicast"}},
		{sources(parse("255.255.255.255/32")), []string{"Sources[0]", "broadcast"}},
		{ports(1, 65535), nil},
		{ports(2, 1), []string{"PortRange", "Lo 2, Hi 1", "no greater"}},
		{ports(0, 1), []string{"PortRange", "Lo 0, Hi 1", "both"}},
		{ports(1, 0), []string{"PortRange", "Lo 1, Hi 0", "both"}},
		{dialer.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}}, []string{"LocalAddr", "Sources"}},
		{dialer.Dialer{LocalAddr: &net.UDPAddr{}}, nil},
		{dialer.Dialer{Interfaces: []string{"lo", ""}}, []string{"Interfaces", "empty name"}},
	} {
		err := test.d.Validate()
		if (err == nil) != (test.want == nil) {
			t.Errorf("%v %v: got %v, want an error: %v", test.d.Sources, test.d.PortRange, err, test.want != nil)
			continue
		}
		for _, part := range test.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%v %v: got %q, want %q in it", test.d.Sources, test.d.PortRange, err, part)
			}
		}
	}
}
