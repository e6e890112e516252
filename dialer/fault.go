package dialer

import (
	"errors"
	"os"
	"slices"
	"syscall"
)

// fault is what a failed attempt says about its source.
type fault uint8

const (
	notSource fault = iota // another source would fare no better
	noPort                 // no local port left for this destination
	noWay                  // no way from the source to this destination
	notOurs                // not an address of this host
)

// faultOf judges an error by the system call that failed and its errno.
func faultOf(err error) fault {
	var call *os.SyscallError
	var errno syscall.Errno
	if !errors.As(err, &call) || !errors.As(call.Err, &errno) {
		return notSource
	}
	switch call.Syscall {
	case "bind":
		// With the port taken at bind, running out shows here.
		switch {
		case slices.Contains(errnoAddrInUse, errno):
			return noPort
		case slices.Contains(errnoAddrNotAvail, errno):
			return notOurs
		case slices.Contains(errnoInvalid, errno):
			return noWay
		}
	case "connect", "connectex":
		switch {
		case slices.Contains(errnoAddrNotAvail, errno), slices.Contains(errnoAddrInUse, errno):
			return noPort
		case slices.Contains(errnoUnreachable, errno), slices.Contains(errnoInvalid, errno):
			return noWay
		}
	}
	return notSource
}
