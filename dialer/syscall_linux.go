package dialer

import (
	"encoding/binary"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls that every dial and every close make. But for connect and TCP_INFO
// none of them can take long, so the scheduler need not be told of them, which
// would take a fifth of their time.

// setInt sets a socket option that is an int.
func setInt(fd, level, option, value int) unix.Errno {
	v := int32(value)
	return setsockopt(fd, level, option, unsafe.Pointer(&v), 4)
}

// setLinger sets SO_LINGER.
func setLinger(fd, seconds int) unix.Errno {
	v := unix.Linger{Onoff: 1, Linger: int32(seconds)}
	return setsockopt(fd, unix.SOL_SOCKET, unix.SO_LINGER, unsafe.Pointer(&v), unsafe.Sizeof(v))
}

// lingerOf is the socket's SO_LINGER in seconds, negative if it is off.
func lingerOf(fd int) int {
	var v unix.Linger
	if getsockopt(fd, unix.SOL_SOCKET, unix.SO_LINGER, unsafe.Pointer(&v), unsafe.Sizeof(v)) != 0 || v.Onoff == 0 {
		return -1
	}
	return int(v.Linger)
}

// pollNow returns what has happened to the socket. POLLNVAL says that the kernel
// does not tell: a filter of system calls is in the way, or it is one for 32 bits
// that has no ppoll with 32 bits of time.
func pollNow(fd int) int16 {
	p := unix.PollFd{Fd: int32(fd), Events: unix.POLLIN | unix.POLLRDHUP}
	var now unix.Timespec // the kernel writes what is left of it
	for {
		_, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&now)), 0, 0, 0)
		switch errno {
		case 0:
			return p.Revents
		case unix.EINTR:
		default:
			return unix.POLLNVAL
		}
	}
}

// bindTo binds the socket to the source. A link-local one is in the zone of the
// destination.
func (s *setup) bindTo(fd int) unix.Errno {
	a, port := s.src.Addr(), networkOrder(s.src.Port())
	if a.Is4() {
		sa := unix.RawSockaddrInet4{Family: unix.AF_INET, Port: port, Addr: a.As4()}
		return bindRaw(fd, unsafe.Pointer(&sa), unsafe.Sizeof(sa))
	}
	sa := unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: port, Addr: a.As16()}
	if a.IsLinkLocalUnicast() {
		sa.Scope_id = zoneID(s.zone)
	}
	return bindRaw(fd, unsafe.Pointer(&sa), unsafe.Sizeof(sa))
}

// connect begins to connect the socket, which net then does once more. Where the
// peer is on this host, or in a container of it, the kernel is done by then, and
// net's connect says so: there is nothing to wait for in the poller, which takes
// longer than a system call. Elsewhere net is told that the connect is under way
// (EALREADY), and waits as ever.
//
// With TCP_FASTOPEN_CONNECT net is told that the socket is connected (EISCONN).
func (s *setup) connect(fd int) {
	if s.late || s.dst.Addr().Zone() != "" { // package net keeps the numbers of zones
		return
	}
	s.asked = true
	switch errno := s.connectTo(fd); errno {
	case 0, unix.EINPROGRESS, unix.EALREADY, unix.EISCONN, unix.EINTR:
		if !s.arm && s.metItself(fd) {
			s.arm = setLinger(fd, 0) == 0
		}
	default:
		s.err = os.NewSyscallError("connect", errno)
	}
}

// metItself reports whether the socket may be connected to itself: net closes such
// a one and makes another. It compares the ports alone, which are seldom the same
// otherwise, and does not ask where nothing is counted: there it is as with
// net.Dialer.
func (s *setup) metItself(fd int) bool {
	dst, src := s.dst.Addr(), s.src.Addr()
	switch {
	case src.IsValid():
		if src != dst && !dst.IsUnspecified() {
			return false
		}
	case s.ports == (PortRange{}) && !s.userControl:
		return false
	}
	port := s.dst.Port()
	return (s.kernels.holds(port) || s.src.Port() == port || s.userControl) && localPort(fd) == port
}

// localPort is the socket's port, 0 if it has none.
func localPort(fd int) uint16 {
	var sa unix.RawSockaddrInet6 // an IPv4 socket has its port at the same place
	if getsockname(fd, unsafe.Pointer(&sa), unsafe.Sizeof(sa)) != 0 {
		return 0
	}
	return networkOrder(sa.Port)
}

func (s *setup) connectTo(fd int) unix.Errno {
	a, port := s.dst.Addr(), networkOrder(s.dst.Port())
	if a.Is4() {
		sa := unix.RawSockaddrInet4{Family: unix.AF_INET, Port: port, Addr: a.As4()}
		return connectRaw(fd, unsafe.Pointer(&sa), unsafe.Sizeof(sa))
	}
	sa := unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: port, Addr: a.As16()}
	return connectRaw(fd, unsafe.Pointer(&sa), unsafe.Sizeof(sa))
}

// networkOrder is the port as the kernel wants it in memory.
func networkOrder(port uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], port)
	return binary.NativeEndian.Uint16(b[:])
}
