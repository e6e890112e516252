package dialer

import (
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
	switch errno := setInt(fd, unix.IPPROTO_IP, o.number, value); errno {
	case 0:
		return nil
	case unix.ENOPROTOOPT:
		o.missing.Store(true)
		return nil
	default:
		return os.NewSyscallError("setsockopt "+o.name, errno)
	}
}

// visit prepares the socket, binds it and begins to connect it.
func (s *setup) visit(fd uintptr) {
	if s.options {
		if s.err = s.setOptions(int(fd)); s.err != nil {
			return
		}
	}
	if s.src.IsValid() {
		if s.err = s.bind(int(fd)); s.err != nil {
			return
		}
	}
	s.connect(int(fd))
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
		if errno := setLinger(fd, 0); errno != 0 {
			return os.NewSyscallError("setsockopt SO_LINGER", errno)
		}
	}
	s.keepAlive.set(fd)
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

// disarm gives the winner of a dial the linger time that prepare took away.
func disarm(c *Conn, linger int) error { return c.SetLinger(linger) }

// bindsInControl says that a socket may be bound before net connects it.
const bindsInControl = true

// bindsAnyAddress says that the addresses of a prefix need not be configured one
// by one.
const bindsAnyAddress = true

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
	if !s.free {
		err := s.tryBind(fd)
		if !s.pinned || !errors.Is(err, unix.EADDRNOTAVAIL) {
			return err
		}
	}
	if s.suspect || !s.free {
		// A bind would not say so, and with IPv6 connect would not either.
		if route, known := forBinds.find(fd, s.src.Addr()); known && !route.IsValid() {
			return errGone
		}
	}
	if err := freebind.set(fd, 1); err != nil {
		return err
	}
	return s.tryBind(fd)
}

func (s *setup) tryBind(fd int) error {
	if errno := s.bindTo(fd); errno != 0 {
		return os.NewSyscallError("bind", errno)
	}
	return nil
}
