//go:build unix && !solaris && !illumos

package dialer

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// reusesPort reports whether the socket shares its port.
func reusesPort(c syscall.RawConn) (bool, error) {
	var on int
	var err error
	cerr := c.Control(func(fd uintptr) {
		on, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT)
	})
	return on != 0, errors.Join(cerr, os.NewSyscallError("getsockopt SO_REUSEPORT", err))
}
