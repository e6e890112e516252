package dialer

import (
	"encoding/binary"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// localRoute finds the local route that makes an address this host's own, for the
// network namespace of the socket, which is bound to it or is to be. It is the
// zero Prefix if there is none. IPv6 is not to be asked by a bind: that knows the
// addresses that are configured, and no routes.
//
// The route that a packet would take says so in most cases. If not, all tables may
// be searched: rules can lead packets that come in to others than those that go
// out. That takes 50 ms with the 200,000 routes of the whole Internet.
//
// Nothing is known of a socket that is to have what is not this host's own
// (IP_TRANSPARENT), before Linux 5.14, and where netlink is forbidden.
func localRoute(fd int, src netip.Addr, allTables bool) (route netip.Prefix, known bool) {
	if v, err := unix.GetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TRANSPARENT); err != nil || v != 0 {
		return netip.Prefix{}, false
	}
	routes, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return netip.Prefix{}, false
	}
	defer unix.Close(routes)
	if !sameNamespace(fd, routes) {
		return netip.Prefix{}, false
	}
	route, known = askRoutes(routes, lookUp(src), src)
	if !known || route.IsValid() || !allTables {
		return route, known
	}
	// Without this the kernel lists the routes of all types (Linux 4.20).
	if unix.SetsockoptInt(routes, unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1) != nil {
		return netip.Prefix{}, false
	}
	return askRoutes(routes, listLocal(src), src)
}

// lookUp asks for the route to the address, as it stands in the table.
func lookUp(a netip.Addr) []byte {
	b := routeRequest(a, unix.NLM_F_REQUEST)
	b[17] = byte(a.BitLen())
	binary.NativeEndian.PutUint32(b[24:], unix.RTM_F_FIB_MATCH)
	addr := a.AsSlice()
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(addr)))
	b = binary.NativeEndian.AppendUint16(b, unix.RTA_DST)
	b = append(b, addr...)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	return b
}

// listLocal asks for the local routes in all tables, of the address's family.
func listLocal(a netip.Addr) []byte {
	b := routeRequest(a, unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	b[23] = unix.RTN_LOCAL
	return b
}

// routeRequest is a struct nlmsghdr and a struct rtmsg.
func routeRequest(a netip.Addr, flags uint16) []byte {
	b := make([]byte, unix.SizeofNlMsghdr+unix.SizeofRtMsg, 64)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], unix.RTM_GETROUTE)
	binary.NativeEndian.PutUint16(b[6:], flags)
	if b[16] = unix.AF_INET; a.Is6() {
		b[16] = unix.AF_INET6
	}
	return b
}

// askRoutes returns the first local route in the answer that leads to the address.
func askRoutes(fd int, request []byte, a netip.Addr) (route netip.Prefix, known bool) {
	if unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}) != nil {
		return netip.Prefix{}, false
	}
	for buf := make([]byte, 16<<10); ; { // the kernel fills 8 KiB if it is not given more
		// The answer, or its next part, is there as soon as it was asked for.
		n, _, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT|unix.MSG_TRUNC)
		if err != nil || n > len(buf) {
			return netip.Prefix{}, false
		}
		all, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			return netip.Prefix{}, false
		}
		for _, m := range all {
			several := m.Header.Flags&unix.NLM_F_MULTI != 0
			switch {
			case m.Header.Flags&unix.NLM_F_DUMP_INTR != 0: // they have changed meanwhile
				return netip.Prefix{}, false
			case m.Header.Type == unix.NLMSG_DONE:
				return netip.Prefix{}, len(m.Data) < 4 || binary.NativeEndian.Uint32(m.Data) == 0
			case m.Header.Type == unix.NLMSG_ERROR:
				// There is no route, or one that says "unreachable".
				return netip.Prefix{}, request[23] == unix.RTN_UNSPEC
			}
			if route := localPrefix(&m); route.Contains(a) {
				return route, true
			}
			if !several {
				return netip.Prefix{}, true
			}
		}
	}
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
