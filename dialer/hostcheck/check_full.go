package hostcheck

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// route is one source and one destination, between which each local port can be
// used once.
type route struct {
	source      netip.Addr
	destination netip.AddrPort
}

// full finds routes whose local ports run out.
func (k *check) full() {
	_, _, size := k.localRange()
	if size == 0 {
		return
	}
	var worst []Finding
	for _, d := range k.c.Destinations() {
		for src, p := range d.Sources {
			if f, ok := k.routeFull(route{src, d.Addr}, p, size); ok {
				worst = append(worst, f)
			}
		}
	}
	slices.SortFunc(worst, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(a.Set, b.Set))
	})
	k.found = append(k.found, worst...)
}

// routeFull judges one. TIME_WAITs that a connect may take over do not count.
func (k *check) routeFull(r route, p Ports, size int) (Finding, bool) {
	taken, share := p.InUse, 0
	if k.reuses(r.destination.Addr()) {
		taken -= p.TimeWaits
	}
	share = taken * 100 / size
	f := Finding{
		ID: "ports-used", Key: "sockets",
		Set: fmt.Sprintf("%v to %v: %d of %d local ports in use, %d of them in TIME_WAIT", r.source, r.destination, p.InUse, size, p.TimeWaits),
	}
	switch {
	case share >= 95:
		f.Severity = Error
		f.Effect = "When the last is taken, connects there fail with \"cannot assign requested address\"; other destinations are not concerned."
	case share >= 80:
		f.Severity = Warning
		f.Effect = "Soon connects there will fail with \"cannot assign requested address\"; other destinations are not concerned."
	case share >= 51:
		f.Severity = Note
		f.Effect = "Once half of the ports are taken, each connect there searches the first half in vain: 20 to 35 times as long as before (measured on Linux 6.18), unless the socket has IP_LOCAL_PORT_RANGE, as those of stayopen's dialer do."
	default:
		return Finding{}, false
	}
	f.Change = fmt.Sprintf("dial from more source addresses: each adds %d ports there", size)
	if p.TimeWaits > p.InUse/2 {
		f.Change = fmt.Sprintf("keep connections open and use them again: this side closed %d first within the last minute, %d a second. Or %s", p.TimeWaits, (p.TimeWaits+59)/60, f.Change)
	}
	return f, true
}

// reuses reports whether a connect takes over a TIME_WAIT to the address.
func (k *check) reuses(dst netip.Addr) bool {
	reuse, _ := k.int(twReuse)
	stamps, ok := k.int(timestamps)
	return (reuse == 1 || reuse == 2 && dst.IsLoopback()) && (stamps != 0 || !ok)
}
