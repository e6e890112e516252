package hostcheck

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

const (
	portRange = "net.ipv4.ip_local_port_range"
	reserved  = "net.ipv4.ip_local_reserved_ports"

	// defaultFirst is where Linux's range begins by itself; below are the ports
	// that services are given.
	defaultFirst = 32768
	// fewPorts is what a range should not be smaller than: 167 closes a second
	// to one destination use it up.
	fewPorts = 10_000
)

// localRange is the range of local ports without those that are reserved. Zero
// if it is not known.
func (k *check) localRange() (lo, hi uint16, size int) {
	lo, hi, ok := k.s.PortRange()
	if !ok {
		return 0, 0, 0
	}
	set := k.reserved()
	for p := int(lo); p <= int(hi); p++ {
		if !set[p] {
			size++
		}
	}
	return lo, hi, size
}

func (k *check) reserved() *portSet {
	set, err := parsePorts(k.s.Value(reserved).Text)
	if err != nil {
		return new(portSet)
	}
	return set
}

// ports judges the range of local ports.
func (k *check) ports() {
	lo, hi, size := k.localRange()
	if hi == 0 {
		return
	}
	k.rangeSize(lo, hi, size)
	k.rangeParity(lo, hi)
	low, high := k.listenersIn(lo, hi)
	if len(low) > 0 || lo < defaultFirst {
		k.rangeOverServices(lo, low)
	}
	if len(high) > 0 {
		k.add(Finding{
			ID: "port-range-listeners", Severity: Note, Key: portRange,
			Effect: fmt.Sprintf("The range holds ports that something listens on: %s. That is as it should be if the kernel chose them (port 0); one that is always the same can be taken by an outgoing connection while its service is down, and then the service cannot start.", list(high)),
			Change: fmt.Sprintf("nothing for ports that the kernel chose; add others to %s", reserved),
		})
	}
}

func (k *check) rangeSize(lo, hi uint16, size int) {
	f := Finding{
		ID: "port-range-size", Key: portRange, Severity: Good, Change: nothing,
		Effect: fmt.Sprintf("%d ports for outgoing connections: that many at a time from each source address to each destination (address and port), not in all.", size),
	}
	if !k.reuses(netip.Addr{}) { // to other hosts
		f.Effect += fmt.Sprintf(" If this side closes first, a port is taken for another minute, so %d closes a second to one destination use them up.", size/60)
	}
	if all := int(hi) - int(lo) + 1; all != size {
		f.Effect += fmt.Sprintf(" %d more are reserved.", all-size)
	}
	if size < fewPorts {
		f.Severity = Warning
		f.Change = "set 32768 60999, as Linux does by itself, keep connections open for reuse, or dial from more source addresses"
	}
	k.add(f)
}

func (k *check) rangeParity(lo, hi uint16) {
	if lo%2 != hi%2 || lo == hi {
		return
	}
	k.add(Finding{
		ID: "port-range-parity", Severity: Note, Key: portRange,
		Effect: fmt.Sprintf("The first and the last port are both %s, so the number of ports is odd, and each search of connect() leaves one out, a different one each time, unless the socket has IP_LOCAL_PORT_RANGE. When a single port is left, some connects do not find it: nothing else depends on it.", parity(lo)),
		Change: fmt.Sprintf("nothing, or let it end with %d", hi-1),
	})
}

func parity(port uint16) string {
	if port%2 == 0 {
		return "even"
	}
	return "odd"
}

// rangeOverServices judges a range that was widened to where services live.
func (k *check) rangeOverServices(lo uint16, listeners []int) {
	f := Finding{
		ID: "port-range-services", Severity: Note, Key: portRange,
		Effect: "The range was widened to ports that services are given. While one is down, an outgoing connection can take its port, and then it cannot start: address already in use, for as long as the connection lasts and, if this side closes first, a minute more.",
		Change: fmt.Sprintf("begin it with 32768 and use more source addresses if that is not enough; or put the ports of all services into %s", reserved),
		Recipe: fmt.Sprintf("ip_local_port_range = %d … gives more ports", lo),
		Wrong:  "it does, by taking those of services; each further source address gives a whole range more and takes nothing",
	}
	if len(listeners) > 0 {
		f.Severity = Error
		f.Effect += fmt.Sprintf(" Something listens on %s now.", list(listeners))
		f.Change = fmt.Sprintf("begin it with 32768, or set %s = %s", reserved, withReserved(k.s.Value(reserved).Text, listeners))
	}
	k.add(f)
}

func withReserved(already string, ports []int) string {
	var parts []string
	if already != "" {
		parts = append(parts, already)
	}
	for _, p := range ports {
		parts = append(parts, strconv.Itoa(p))
	}
	return strings.Join(parts, ",")
}

// listenersIn lists the ports in the range, not reserved, that something listens
// on: those below where Linux's own range begins, and the others.
func (k *check) listenersIn(lo, hi uint16) (low, high []int) {
	set := k.reserved()
	last := 0
	for _, l := range k.c.Listeners { // by port
		p := int(l.Local.Port())
		if p == last || p < int(lo) || p > int(hi) || set[p] {
			continue
		}
		last = p
		if p < defaultFirst {
			low = append(low, p)
		} else {
			high = append(high, p)
		}
	}
	return low, high
}

// list is numbers for people, but not hundreds of them.
func list(numbers []int) string {
	const shown = 12
	var parts []string
	for _, n := range numbers[:min(len(numbers), shown)] {
		parts = append(parts, strconv.Itoa(n))
	}
	if more := len(numbers) - shown; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(parts, ", "), more)
	}
	return strings.Join(parts, ", ")
}
