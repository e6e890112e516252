//go:build unix && !linux

package dialer

import (
	"net/netip"
	"os"
	"syscall"
)

// bindsInControl says that a socket may be bound before net connects it.
const bindsInControl = true

// visit binds the socket to the source. The kernel takes a port at the same time.
func (s *setup) visit(fd uintptr) {
	if s.src.IsValid() {
		s.err = os.NewSyscallError("bind", syscall.Bind(int(fd), sockaddr(s.src, s.zone)))
	}
}

// sockaddr is the source. A link-local one is in the zone of the destination.
func sockaddr(src netip.AddrPort, zone string) syscall.Sockaddr {
	if a := src.Addr(); a.Is4() {
		return &syscall.SockaddrInet4{Addr: a.As4(), Port: int(src.Port())}
	}
	sa := &syscall.SockaddrInet6{Addr: src.Addr().As16(), Port: int(src.Port())}
	if src.Addr().IsLinkLocalUnicast() {
		sa.ZoneId = zoneID(zone)
	}
	return sa
}

// bindsAnyAddress says that the addresses of a prefix need not be configured one
// by one.
const bindsAnyAddress = false
