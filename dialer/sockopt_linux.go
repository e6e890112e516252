package dialer

import (
	"errors"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"

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
	return os.NewSyscallError("setsockopt "+o.name, err)
}

// prepare sets the options of every TCP socket and returns the linger time that
// the user's control function, if there was one, has set.
func prepare(c syscall.RawConn, r PortRange, userControl bool) (linger int, err error) {
	linger = -1
	cerr := c.Control(func(fd uintptr) {
		if userControl {
			linger = lingerOf(int(fd))
		}
		// A socket that loses the race of Happy Eyeballs, or stands when the
		// context has just ended, is closed inside net: by RST then, so that it
		// leaves no TIME_WAIT behind. The winner is disarmed.
		err = os.NewSyscallError("setsockopt SO_LINGER", setLinger(int(fd), 0))
		if err == nil {
			err = setPortRange(int(fd), r, userControl)
		}
	})
	return linger, errors.Join(cerr, err)
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
		r = PortRange{Lo: 1, Hi: 65535}
	}
	return portRange.set(fd, int(int32(uint32(r.Lo)|uint32(r.Hi)<<16)))
}

// lingerOf is the socket's SO_LINGER in seconds, negative if it is off.
func lingerOf(fd int) int {
	l, err := unix.GetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER)
	if err != nil || l.Onoff == 0 {
		return -1
	}
	return int(l.Linger)
}

func setLinger(fd, seconds int) error {
	return unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: int32(seconds)})
}

// disarm gives the winner of a dial the linger time that prepare took away.
func disarm(c *Conn, linger int) error { return c.SetLinger(linger) }

// bindsInControl says that a socket may be bound before net connects it.
const bindsInControl = true

// bind binds the socket to the source, with the port left open until connect.
// Where the kernel can leave it open it must be: a port taken by a bind is lost
// to every unbound connect in the network namespace, whatever the destination.
func bind(c syscall.RawConn, src netip.Addr, zone string, free bool) error {
	var err error
	cerr := c.Control(func(fd uintptr) {
		err = bindSocket(int(fd), src, zone, free)
	})
	return errors.Join(cerr, err)
}

func bindSocket(fd int, src netip.Addr, zone string, free bool) error {
	if err := bindNoPort.set(fd, 1); err != nil {
		return err
	}
	if free {
		if err := freebind.set(fd, 1); err != nil {
			return err
		}
	}
	return os.NewSyscallError("bind", unix.Bind(fd, sockaddr(src, zone)))
}

// sockaddr is the source without a port. A link-local one is in the zone of the
// destination.
func sockaddr(src netip.Addr, zone string) unix.Sockaddr {
	if src.Is4() {
		return &unix.SockaddrInet4{Addr: src.As4()}
	}
	sa := &unix.SockaddrInet6{Addr: src.As16()}
	if src.IsLinkLocalUnicast() {
		sa.ZoneId = zoneID(zone)
	}
	return sa
}
