package dialer

import (
	"fmt"
	"net/netip"
)

// PortRange is a range of local ports, both ends included. The zero value
// stands for no range.
type PortRange struct {
	Lo uint16 // the first port, at least 1
	Hi uint16 // the last port, at least Lo
}

// Validate returns an error that names the first field that cannot be dialed
// with and says what it may hold, or nil. DialContext returns the same error.
//
// It looks at the fields alone: whether a source is an address of this host
// shows when it is dialed from.
func (d *Dialer) Validate() error {
	for i, p := range d.Sources {
		if err := validateSource(p); err != nil {
			return fmt.Errorf("dialer: Sources[%d]: %w", i, err)
		}
	}
	if err := d.PortRange.validate(); err != nil {
		return fmt.Errorf("dialer: PortRange: %w", err)
	}
	return nil
}

// unusable are the addresses that no connection can come from.
var unusable = []struct {
	prefix netip.Prefix
	name   string
}{
	{netip.MustParsePrefix("0.0.0.0/32"), "the unspecified address"},
	{netip.MustParsePrefix("::/128"), "the unspecified address"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast addresses"},
	{netip.MustParsePrefix("ff00::/8"), "multicast addresses"},
	{netip.MustParsePrefix("255.255.255.255/32"), "the broadcast address"},
}

func validateSource(p netip.Prefix) error {
	a := p.Addr()
	switch {
	case !p.IsValid():
		return fmt.Errorf("%v: want an address with its prefix length, such as 192.0.2.1/32 or 2001:db8::/64", p)
	case a.Is4In6():
		return fmt.Errorf("%v is an IPv4-mapped IPv6 address: want the IPv4 address %v itself", p, a.Unmap())
	case p != p.Masked():
		return fmt.Errorf("%v could mean one address or all of its prefix: want %v or %v", p, netip.PrefixFrom(a, a.BitLen()), p.Masked())
	}
	for _, u := range unusable {
		if p.Overlaps(u.prefix) {
			return fmt.Errorf("%v contains %s: want unicast addresses of this host only", p, u.name)
		}
	}
	return nil
}

func (r PortRange) validate() error {
	switch {
	case r == PortRange{}:
		return nil
	case r.Lo == 0 || r.Hi == 0:
		return fmt.Errorf("got Lo %d, Hi %d: want both set, from 1 to 65535, or both zero for no range", r.Lo, r.Hi)
	case r.Lo > r.Hi:
		return fmt.Errorf("got Lo %d, Hi %d: want Lo no greater than Hi", r.Lo, r.Hi)
	}
	return nil
}
