package dialer

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"syscall"
	"time"
)

// ControlFunc is what Dialer.Control, net.Dialer.Control and the Control of
// ListenConfig and net.ListenConfig are: a function that sees each socket before
// it is bound or connected. Those that this package makes can be used with any
// of them, and by several at once.
//
// They return an error, which names the function and its value, when the socket
// is made: for a value that makes no sense, for one that the kernel refuses, and,
// wrapping errors.ErrUnsupported, where the system has no such option. That is
// everywhere but on Linux.
type ControlFunc = func(network, address string, c syscall.RawConn) error

// Controls calls the functions in order and stops at the first error, which it
// returns. Nil functions are left out.
func Controls(fs ...ControlFunc) ControlFunc {
	return func(network, address string, c syscall.RawConn) error {
		for _, f := range fs {
			if f == nil {
				continue
			}
			if err := f(network, address, c); err != nil {
				return err
			}
		}
		return nil
	}
}

// UserTimeout sets how long written data may stay unacknowledged, or the peer
// may leave keep-alive probes unanswered, until the kernel gives the connection
// up and reads and writes fail with ETIMEDOUT (TCP_USER_TIMEOUT, RFC 5482).
// Without it that takes about a quarter of an hour. It is in milliseconds: a part
// of one counts as one. Zero is the kernel's default, tcp_retries2; a negative
// duration is an error, as is one of more than 24 days.
//
// With keep-alive probes it takes the place of their count.
func UserTimeout(d time.Duration) ControlFunc {
	name := fmt.Sprintf("UserTimeout(%v)", d)
	if d < 0 || d > math.MaxInt32*time.Millisecond {
		return refuse(name, "must be from 0 to 24 days")
	}
	ms := (d + time.Millisecond - 1) / time.Millisecond
	return onSocket(name, func(fd int) error { return setUserTimeout(fd, int(ms)) })
}

// Mark gives the packets of the socket a mark, which routing rules and packet
// filters can go by (SO_MARK). It takes CAP_NET_ADMIN or, since Linux 5.17,
// CAP_NET_RAW. Zero is no mark.
func Mark(mark uint32) ControlFunc {
	return onSocket(fmt.Sprintf("Mark(%d)", mark), func(fd int) error { return setMark(fd, mark) })
}

// BindToDevice has the socket send and receive by that network device only,
// whatever the routes say (SO_BINDTODEVICE). Since Linux 5.7 it takes no
// privileges on a socket that is not bound to a device yet. The name must be one
// of a device, of 1 to 15 bytes; an empty one is an error.
func BindToDevice(device string) ControlFunc {
	const longest = 15 // IFNAMSIZ less the zero at the end
	name := fmt.Sprintf("BindToDevice(%q)", device)
	if device == "" || len(device) > longest || strings.ContainsRune(device, 0) {
		return refuse(name, "must be the name of a device, of 1 to 15 bytes")
	}
	return onSocket(name, func(fd int) error { return bindToDevice(fd, device) })
}

// CongestionControl chooses the algorithm that paces what is sent, such as
// "bbr", for the socket (TCP_CONGESTION). Linux lists those that it takes in
// net.ipv4.tcp_available_congestion_control, and those that need no privileges
// in net.ipv4.tcp_allowed_congestion_control. An empty name is an error.
func CongestionControl(algorithm string) ControlFunc {
	const longest = 15 // TCP_CA_NAME_MAX less the zero at the end
	name := fmt.Sprintf("CongestionControl(%q)", algorithm)
	if algorithm == "" || len(algorithm) > longest || strings.ContainsRune(algorithm, 0) {
		return refuse(name, "must be the name of an algorithm, of 1 to 15 bytes")
	}
	return onSocket(name, func(fd int) error { return setCongestionControl(fd, algorithm) })
}

// refuse is the function for a value that makes no sense.
func refuse(name, why string) ControlFunc {
	err := fmt.Errorf("dialer: %s: %s", name, why)
	return func(string, string, syscall.RawConn) error { return err }
}

// onSocket has set called with the descriptor.
func onSocket(name string, set func(fd int) error) ControlFunc {
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		cerr := c.Control(func(fd uintptr) { err = set(int(fd)) })
		if err := errors.Join(cerr, err); err != nil {
			return fmt.Errorf("dialer: %s: %w", name, err)
		}
		return nil
	}
}
