package dialer

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// hasSource reports whether this host has an address to dial dst from. Without
// one, a connect fails as it does without a port (EADDRNOTAVAIL): to ::1 where
// IPv6 is off, say. A socket of UDP is told the difference, and sends nothing.
func hasSource(dst netip.AddrPort) bool {
	family := unix.AF_INET
	if dst.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return true // nothing is known
	}
	defer unix.Close(fd)
	if a := dst.Addr(); a.Is4() {
		err = unix.Connect(fd, &unix.SockaddrInet4{Addr: a.As4(), Port: int(dst.Port())})
	} else {
		err = unix.Connect(fd, &unix.SockaddrInet6{Addr: a.As16(), Port: int(dst.Port()), ZoneId: zoneID(a.Zone())})
	}
	return err != unix.EADDRNOTAVAIL
}
