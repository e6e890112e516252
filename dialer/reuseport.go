//go:build !windows && !plan9 && !wasm && !solaris && !illumos

package dialer

import (
	"errors"
	"os"
	"syscall"

	"github.com/libp2p/go-reuseport"
	"golang.org/x/sys/unix"
)

func reusePort(network, address string, c syscall.RawConn) error {
	return reuseport.Control(network, address, c)
}

// canReusePort says that listeners can share a port.
const canReusePort = true

// reusesPort reports whether the socket shares its port.
func reusesPort(c syscall.RawConn) (bool, error) {
	var on int
	var err error
	cerr := c.Control(func(fd uintptr) {
		on, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT)
	})
	return on != 0, errors.Join(cerr, os.NewSyscallError("getsockopt SO_REUSEPORT", err))
}
