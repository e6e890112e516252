package dialer

import (
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// localRoutes are those that make addresses this host's own.
type localRoutes struct {
	// mu guards what was collected, and is held while it is collected again, so
	// that thousands who ask at once do not all do that.
	mu     sync.Mutex
	tables map[tablesOf]collected
}

// collected are the local routes of all tables of a kind, as they were at a time.
type collected struct {
	routeSet
	at time.Time
}

// goodFor is for how long they are good: as long as a source that was not this
// host's is left out.
const goodFor = time.Second

// forBinds are those that dials ask before they bind a socket.
var forBinds localRoutes

// tablesOf are the tables of routes of a network namespace for one family.
type tablesOf struct {
	namespace uint64
	v6        bool
}

// routeSet finds out whether one of up to 100,000 routes leads to an address.
type routeSet struct {
	bits   []int
	routes map[netip.Prefix]struct{}
}

func (s *routeSet) add(p netip.Prefix) {
	if !slices.Contains(s.bits, p.Bits()) {
		s.bits = append(s.bits, p.Bits())
	}
	s.routes[p] = struct{}{}
}

// leading is the route that leads to the address, the zero Prefix if none does.
func (s *routeSet) leading(a netip.Addr) netip.Prefix {
	for _, n := range s.bits {
		p, _ := a.Prefix(n)
		if _, found := s.routes[p]; found {
			return p
		}
	}
	return netip.Prefix{}
}

// find finds the local route that makes an address this host's own, for the
// network namespace of the socket, which is bound to it or is to be. It is the
// zero Prefix if there is none. IPv6 is not to be asked by a bind: that knows the
// addresses that are configured, and no routes.
//
// The route that a packet would take says so in most cases. If not, rules may
// lead packets that come in to other tables than those that go out. Where there
// are such rules all tables are searched, which takes 50 ms with the 200,000
// routes of the whole Internet: once for all that is asked of the same
// localRoutes in a second.
//
// Nothing is known of a socket that is to have what is not this host's own
// (IP_TRANSPARENT), before Linux 5.14, and where netlink is forbidden.
func (l *localRoutes) find(fd int, src netip.Addr) (route netip.Prefix, known bool) {
	if v, err := unix.GetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TRANSPARENT); err != nil || v != 0 {
		return netip.Prefix{}, false
	}
	routes, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return netip.Prefix{}, false
	}
	defer unix.Close(routes)
	namespace, same := sameNamespace(fd, routes)
	if !same {
		return netip.Prefix{}, false
	}
	if route, known = lookUp(routes, src); !known || route.IsValid() {
		return route, known
	}
	return l.search(routes, tablesOf{namespace, src.Is6()}, src)
}

// search finds the local route to the address in the tables, which it asks fd for.
func (l *localRoutes) search(fd int, of tablesOf, src netip.Addr) (route netip.Prefix, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	old := func(c collected) bool { age := now.Sub(c.at); return age < 0 || age >= goodFor }
	all, found := l.tables[of]
	if !found || old(all) {
		if all.routeSet, known = inAllTables(fd, src); !known {
			return netip.Prefix{}, false
		}
		all.at = time.Now()
		maps.DeleteFunc(l.tables, func(_ tablesOf, c collected) bool { return old(c) })
		if l.tables == nil {
			l.tables = make(map[tablesOf]collected)
		}
		l.tables[of] = all
	}
	return all.leading(src), true
}

// lookUp finds the route to the address, as it stands in the table, if it is a
// local one.
func lookUp(fd int, a netip.Addr) (route netip.Prefix, known bool) {
	b := request(unix.RTM_GETROUTE, unix.NLM_F_REQUEST, unix.SizeofRtMsg, a)
	b[17] = byte(a.BitLen())
	binary.NativeEndian.PutUint32(b[24:], unix.RTM_F_FIB_MATCH)
	addr := a.AsSlice()
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(addr)))
	b = binary.NativeEndian.AppendUint16(b, unix.RTA_DST)
	b = append(b, addr...)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	errno, ok := askKernel(fd, b, func(m *syscall.NetlinkMessage) { route = localPrefix(m) })
	switch errno {
	case 0:
		return route, ok
	case unix.ENETUNREACH, unix.EHOSTUNREACH, unix.EACCES, unix.EINVAL, unix.EAGAIN:
		// There is no route, or one that says "unreachable", "prohibit", "blackhole"
		// or "throw".
		return netip.Prefix{}, ok
	}
	return netip.Prefix{}, false
}

// inAllTables collects the local routes in all tables, of the address's family. It
// leaves them out where every packet is looked up in the same tables: there is none
// then that lookUp does not find.
func inAllTables(fd int, a netip.Addr) (all routeSet, known bool) {
	all.routes = make(map[netip.Prefix]struct{})
	if sameForAll(fd, a) {
		return all, true
	}
	// Without this the kernel lists the routes of all types (Linux 4.20).
	if unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1) != nil {
		return all, false
	}
	kinds := []byte{unix.RTN_LOCAL}
	if a.Is6() {
		kinds = append(kinds, unix.RTN_ANYCAST)
	}
	for _, kind := range kinds {
		b := request(unix.RTM_GETROUTE, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, unix.SizeofRtMsg, a)
		b[23] = kind
		errno, ok := askKernel(fd, b, func(m *syscall.NetlinkMessage) {
			if p := localPrefix(m); p.IsValid() {
				all.add(p)
			}
		})
		if errno != 0 || !ok {
			return all, false
		}
	}
	return all, true
}

// sameForAll reports whether the rules of the address's family are those that
// there are from the start: local, main and default, for every packet.
func sameForAll(fd int, a netip.Addr) bool {
	same := true
	errno, ok := askKernel(fd, request(unix.RTM_GETRULE, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, sizeofRule, a), func(m *syscall.NetlinkMessage) {
		same = same && forAll(m)
	})
	return same && errno == 0 && ok
}

// sizeofRule is that of a struct fib_rule_hdr.
const sizeofRule = 12

// forAll reports whether a rule leads every packet to one of the usual tables.
func forAll(m *syscall.NetlinkMessage) bool {
	if m.Header.Type != unix.RTM_NEWRULE || len(m.Data) < sizeofRule {
		return false
	}
	toBits, fromBits, tos, table, action, flags := m.Data[1], m.Data[2], m.Data[3], m.Data[4], m.Data[7], binary.NativeEndian.Uint32(m.Data[8:])
	if toBits != 0 || fromBits != 0 || tos != 0 || flags != 0 || action != unix.FR_ACT_TO_TBL {
		return false
	}
	switch table {
	case unix.RT_TABLE_LOCAL, unix.RT_TABLE_MAIN, unix.RT_TABLE_DEFAULT:
	default:
		return false
	}
	for b := m.Data[sizeofRule:]; len(b) >= unix.SizeofRtAttr; {
		size, kind := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
		if size < unix.SizeofRtAttr || size > len(b) {
			return false
		}
		switch value := b[unix.SizeofRtAttr:size]; kind {
		case unix.FRA_TABLE, unix.FRA_PRIORITY, unix.FRA_PROTOCOL:
		case unix.FRA_SUPPRESS_PREFIXLEN: // it is always there
			if len(value) != 4 || binary.NativeEndian.Uint32(value) != 1<<32-1 {
				return false
			}
		default:
			return false
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return true
}

// request is a struct nlmsghdr and a struct of that size that begins with the
// family.
func request(kind, flags uint16, size int, a netip.Addr) []byte {
	b := make([]byte, unix.SizeofNlMsghdr+size, 64)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	binary.NativeEndian.PutUint16(b[6:], flags)
	if b[16] = unix.AF_INET; a.Is6() {
		b[16] = unix.AF_INET6
	}
	return b
}

// askKernel gives what the kernel answers to visit. The errno is the kernel's own word;
// without ok there is no answer, or not all of it.
func askKernel(fd int, request []byte, visit func(*syscall.NetlinkMessage)) (errno unix.Errno, ok bool) {
	if unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}) != nil {
		return 0, false
	}
	for buf := make([]byte, 16<<10); ; { // the kernel fills 8 KiB if it is not given more
		// The answer, or its next part, is there as soon as it was asked for.
		n, _, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT|unix.MSG_TRUNC)
		if err != nil || n > len(buf) {
			return 0, false
		}
		all, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			return 0, false
		}
		for _, m := range all {
			switch {
			case m.Header.Flags&unix.NLM_F_DUMP_INTR != 0: // they have changed meanwhile
				return 0, false
			case m.Header.Type == unix.NLMSG_DONE, m.Header.Type == unix.NLMSG_ERROR:
				return errnoIn(m.Data), true
			}
			visit(&m)
			if m.Header.Flags&unix.NLM_F_MULTI == 0 {
				return 0, true
			}
		}
	}
}

// errnoIn is what a message begins with that ends an answer.
func errnoIn(b []byte) unix.Errno {
	if len(b) < 4 {
		return 0
	}
	return unix.Errno(-int32(binary.NativeEndian.Uint32(b)))
}

// localPrefix is what a local route leads to, the zero Prefix if it is none.
func localPrefix(m *syscall.NetlinkMessage) netip.Prefix {
	if m.Header.Type != unix.RTM_NEWROUTE || len(m.Data) < unix.SizeofRtMsg {
		return netip.Prefix{}
	}
	if kind := m.Data[7]; kind != unix.RTN_LOCAL && kind != unix.RTN_ANYCAST {
		return netip.Prefix{}
	}
	addr := netip.IPv4Unspecified() // which is left out
	if m.Data[0] == unix.AF_INET6 {
		addr = netip.IPv6Unspecified()
	}
	attributes, err := syscall.ParseNetlinkRouteAttr(m)
	if err != nil {
		return netip.Prefix{}
	}
	for _, a := range attributes {
		if a.Attr.Type == unix.RTA_DST {
			addr, _ = netip.AddrFromSlice(a.Value)
		}
	}
	return netip.PrefixFrom(addr, int(m.Data[1]))
}
