package dialer

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"unsafe"
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
// It looks at the fields alone: whether a source is an address of this host, or
// an interface exists, shows when it is dialed from. But PortRange and ExplicitPorts
// are compared with the range of ports that the kernel has had in the last seconds,
// and ExplicitPorts with what this process may bind.
func (d *Dialer) Validate() error {
	if err := d.validateSources(); err != nil {
		return err
	}
	if slices.Contains(d.Interfaces, "") {
		return errors.New("dialer: Dialer.Interfaces: an empty name: want names such as eth0")
	}
	if _, tcp := d.LocalAddr.(*net.TCPAddr); tcp {
		return errLocalAddr
	}
	if d.PortRange != (PortRange{}) {
		if err := d.validatePortRange(); err != nil {
			return fmt.Errorf("dialer: Dialer.PortRange: %w", err)
		}
	}
	if d.ExplicitPorts != (PortRange{}) {
		if err := d.validateExplicit(); err != nil {
			return fmt.Errorf("dialer: Dialer.ExplicitPorts: %w", err)
		}
	}
	return nil
}

var errLocalAddr = errors.New("dialer: Dialer.LocalAddr: is for networks other than TCP: want Sources with that address as /32 or /128, which leaves the port to the kernel")

// validateSources compares each source with all others, which is too much for
// every dial: those found good are not looked at again.
func (d *Dialer) validateSources() error {
	where := uintptr(unsafe.Pointer(unsafe.SliceData(d.Sources)))
	if len(d.Sources) == 0 || atomic.LoadUintptr(&d.checked) == where+uintptr(len(d.Sources)) {
		return nil
	}
	for i, p := range d.Sources {
		if err := validateSource(p); err != nil {
			return fmt.Errorf("dialer: Dialer.Sources[%d]: %w", i, err)
		}
		for j, q := range d.Sources[:i] {
			if p.Overlaps(q) {
				return fmt.Errorf("dialer: Dialer.Sources[%d]: %v overlaps Sources[%d], %v: want each address once", i, p, j, q)
			}
		}
	}
	atomic.StoreUintptr(&d.checked, where+uintptr(len(d.Sources)))
	return nil
}

func (d *Dialer) validatePortRange() error {
	r := d.PortRange
	if err := r.validate(); err != nil {
		return err
	}
	if s := ephemeralPorts(); s.ignores(r) {
		return fmt.Errorf("%v has nothing in common with %v (net.ipv4.ip_local_port_range), so that the kernel would ignore it: want a part of that, or ExplicitPorts", r, s.all)
	}
	return nil
}

func (d *Dialer) validateExplicit() error {
	r := d.ExplicitPorts
	if err := r.validate(); err != nil {
		return err
	}
	space := ephemeralPorts()
	switch all := space.all; {
	case !explicitPorts:
		return fmt.Errorf("%w on this system", errors.ErrUnsupported)
	case d.PortRange != PortRange{}:
		return errors.New("is set together with PortRange: want one of them")
	case len(d.Sources) == 0 && len(d.Interfaces) == 0:
		return errors.New("needs to know the local address: want Sources or Interfaces set as well")
	case r.Lo <= all.Hi && r.Hi >= all.Lo:
		return fmt.Errorf("%v overlaps %v, from which the kernel takes the ports of all other connections (net.ipv4.ip_local_port_range): want a range outside of it", r, all)
	case int(r.Lo) < space.free && !mayBind(r.Lo):
		return fmt.Errorf("%v begins below %d, from where on this process may choose its ports (net.ipv4.ip_unprivileged_port_start): want Lo at least %d, or the capability CAP_NET_BIND_SERVICE", r, space.free, space.free)
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
