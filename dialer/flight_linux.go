package dialer

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// watched is the flight if the kernel can be asked about it.
func watched(f *flight) *flight { return f }

// unanswered reports whether the socket has sent a SYN and waits for the answer.
func unanswered(fd int) bool {
	const synSent = 2
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	return err == nil && info.State == synSent
}

// whereabouts reports whether the source of a socket that is not connected yet is
// this host's no more, or has never been. If it still is, whole may be a prefix of
// which every address is. A source that was given alone is bound as one that is
// configured, one of a prefix whether it is this host's or not.
func (l *localRoutes) whereabouts(fd int, src netip.Addr, alone bool) (whole netip.Prefix, isGone bool) {
	if alone {
		return netip.Prefix{}, gone(fd, src)
	}
	route, known := l.find(fd, src)
	return route, known && !route.IsValid()
}

// gone reports whether the source of a socket that is not connected yet could not
// be bound any more.
func gone(fd int, src netip.Addr) bool {
	if src.Is4() {
		// The kernel looks at the address before it refuses to bind a socket twice.
		return unix.Bind(fd, &unix.SockaddrInet4{Addr: src.As4()}) == unix.EADDRNOTAVAIL
	}
	// Not so with IPv6, where another socket has to be asked, which must be like
	// this one: the user's Control may have done anything to it.
	for _, number := range []int{unix.IP_FREEBIND, unix.IP_TRANSPARENT} {
		if v, err := unix.GetsockoptInt(fd, unix.IPPROTO_IP, number); err != nil || v != 0 {
			return false
		}
	}
	if device, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX); err != nil || device != 0 {
		return false
	}
	other, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return false
	}
	defer unix.Close(other)
	if _, same := sameNamespace(fd, other); !same || unix.SetsockoptInt(other, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1) != nil {
		return false
	}
	return unix.Bind(other, &unix.SockaddrInet6{Addr: src.As16()}) == unix.EADDRNOTAVAIL
}

// sameNamespace reports whether both sockets are of the same network namespace,
// which a thread can leave, and which one that is. Before Linux 5.14 nothing is
// known.
func sameNamespace(a, b int) (cookie uint64, same bool) {
	first, err1 := unix.GetsockoptUint64(a, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	second, err2 := unix.GetsockoptUint64(b, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	return first, err1 == nil && err2 == nil && first == second
}

// hangUp makes the connect fail that waits (ECONNRESET).
func hangUp(fd int) { unix.Shutdown(fd, unix.SHUT_RDWR) }
