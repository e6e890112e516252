//go:build !windows

package dialer_test

import "syscall"

// What the system calls return, which differs by system.
const (
	errRefused      = syscall.ECONNREFUSED
	errAddrNotAvail = syscall.EADDRNOTAVAIL
	errConnReset    = syscall.ECONNRESET
)
