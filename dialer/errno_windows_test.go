package dialer_test

import "syscall"

// What the system calls return, which differs by system.
const (
	errRefused      = syscall.Errno(10061) // WSAECONNREFUSED
	errAddrNotAvail = syscall.Errno(10049) // WSAEADDRNOTAVAIL
	errConnReset    = syscall.Errno(10054) // WSAECONNRESET
)
