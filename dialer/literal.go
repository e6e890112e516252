package dialer

import "net/netip"

// parsed is an address with what it says.
type parsed struct {
	address string
	dst     netip.AddrPort
}

// parse reads an address that needs no resolver and is of the network's family:
// then there is one attempt.
func (dl *dialing) parse(address string) (netip.AddrPort, bool) {
	if address != dl.parsed.address || address == "" {
		dst, err := netip.ParseAddrPort(address)
		if err != nil || dst.Addr().Is4In6() {
			return netip.AddrPort{}, false
		}
		dl.parsed = parsed{address, dst}
	}
	dst := dl.parsed.dst
	if dl.network == "tcp" {
		return dst, dst.Addr() != netip.IPv6Unspecified() // net tries 0.0.0.0 as well
	}
	return dst, (dl.network == "tcp4") == dst.Addr().Is4()
}
