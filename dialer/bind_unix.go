//go:build unix && !linux

package dialer

import (
	"errors"
	"net/netip"
	"os"
	"syscall"
)

// bindsInControl says that a socket may be bound before net connects it.
const bindsInControl = true

// bind binds the socket to the source. The kernel takes a port at the same time.
func bind(c syscall.RawConn, src netip.Addr, zone string, _ bool) error {
	var err error
	cerr := c.Control(func(fd uintptr) {
		err = os.NewSyscallError("bind", syscall.Bind(int(fd), sockaddr(src, zone)))
	})
	return errors.Join(cerr, err)
}

// sockaddr is the source without a port. A link-local one is in the zone of the
// destination.
func sockaddr(src netip.Addr, zone string) syscall.Sockaddr {
	if src.Is4() {
		return &syscall.SockaddrInet4{Addr: src.As4()}
	}
	sa := &syscall.SockaddrInet6{Addr: src.As16()}
	if src.IsLinkLocalUnicast() {
		sa.ZoneId = zoneID(zone)
	}
	return sa
}
