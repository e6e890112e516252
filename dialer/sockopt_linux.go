package dialer

import (
	"encoding/binary"
	"errors"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// option is an integer socket option at level IPPROTO_IP, which is where IPv6
// sockets have these, too. The first socket that sets it finds out whether the
// kernel knows it.
type option struct {
	name    string
	number  int
	missing atomic.Bool
}

var (
	bindNoPort = option{name: "IP_BIND_ADDRESS_NO_PORT", number: unix.IP_BIND_ADDRESS_NO_PORT} // Linux 4.2
	freebind   = option{name: "IP_FREEBIND", number: unix.IP_FREEBIND}
	portRange  = option{name: "IP_LOCAL_PORT_RANGE", number: unix.IP_LOCAL_PORT_RANGE} // Linux 6.3
)

// set sets the option on the socket. A kernel without it is no error.
func (o *option) set(fd, value int) error {
	if o.missing.Load() {
		return nil
	}
	err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, o.number, value)
	if errors.Is(err, unix.ENOPROTOOPT) {
		o.missing.Store(true)
		return nil
	}
	if err == nil {
		return nil
	}
	return os.NewSyscallError("setsockopt "+o.name, err)
}

// visit prepares and binds the socket.
func (s *setup) visit(fd uintptr) {
	if s.options {
		if s.err = s.setOptions(int(fd)); s.err != nil {
			return
		}
	}
	if s.src.IsValid() {
		s.err = s.bind(int(fd))
	}
}

// setOptions sets the options of every TCP socket.
func (s *setup) setOptions(fd int) error {
	if s.userControl {
		s.linger = lingerOf(fd)
	}
	if s.arm {
		// A socket that loses the race of Happy Eyeballs, or stands when the
		// context has just ended, is closed inside net: by RST then, so that it
		// leaves no TIME_WAIT behind. The winner is disarmed.
		if err := setLinger(fd, 0); err != nil {
			return os.NewSyscallError("setsockopt SO_LINGER", err)
		}
	}
	return setPortRange(fd, s.ports, s.userControl)
}

// setPortRange narrows the ports of the socket. Set to all ports the option
// narrows nothing, but it makes the kernel (6.8 and later) look at every port
// once, in one pass. Without it, half of the ports are searched first, and once
// those are taken every connect searches all of them in vain.
func setPortRange(fd int, r PortRange, userControl bool) error {
	if r == (PortRange{}) {
		if userControl {
			if v, err := unix.GetsockoptInt(fd, unix.IPPROTO_IP, portRange.number); err == nil && v != 0 {
				return nil // the user's own range
			}
		}
		return portRange.set(fd, fullRange)
	}
	return portRange.set(fd, int(int32(uint32(r.Lo)|uint32(r.Hi)<<16)))
}

// fullRange is 1 to 65535, as the option takes it.
const fullRange = 1 - 1<<16

// lingerOf is the socket's SO_LINGER in seconds, negative if it is off. Struct
// linger is two ints.
func lingerOf(fd int) int {
	v, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_LINGER)
	if err != nil {
		return -1
	}
	var b [8]byte
	binary.NativeEndian.PutUint64(b[:], v)
	if binary.NativeEndian.Uint32(b[:4]) == 0 {
		return -1
	}
	return int(int32(binary.NativeEndian.Uint32(b[4:])))
}

func setLinger(fd, seconds int) error {
	return unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: int32(seconds)})
}

// disarm gives the winner of a dial the linger time that prepare took away.
func disarm(c *Conn, linger int) error { return c.SetLinger(linger) }

// bindsInControl says that a socket may be bound before net connects it.
const bindsInControl = true

// bind binds the socket to the source, with the port left open until connect
// unless it is given. Where the kernel can leave it open it must be: a port taken
// by a bind is lost to every unbound connect in the network namespace, whatever
// the destination.
func (s *setup) bind(fd int) error {
	if s.src.Port() == 0 {
		if err := bindNoPort.set(fd, 1); err != nil {
			return err
		}
	}
	if s.free {
		if err := freebind.set(fd, 1); err != nil {
			return err
		}
	}
	return os.NewSyscallError("bind", unix.Bind(fd, s.sockaddr()))
}

// sockaddr is the source. A link-local one is in the zone of the destination.
func (s *setup) sockaddr() unix.Sockaddr {
	a, port := s.src.Addr(), int(s.src.Port())
	if a.Is4() {
		return &unix.SockaddrInet4{Addr: a.As4(), Port: port}
	}
	sa := &unix.SockaddrInet6{Addr: a.As16(), Port: port}
	if a.IsLinkLocalUnicast() {
		sa.ZoneId = zoneID(s.zone)
	}
	return sa
}
