//go:build !windows

package dialer

import "syscall"

var (
	errnoAddrInUse    = []syscall.Errno{syscall.EADDRINUSE}
	errnoAddrNotAvail = []syscall.Errno{syscall.EADDRNOTAVAIL}
	errnoUnreachable  = []syscall.Errno{syscall.ENETUNREACH, syscall.EHOSTUNREACH}
	errnoInvalid      = []syscall.Errno{syscall.EINVAL} // 127.0.0.1 to another host, a link-local address without its zone
	errnoFiles        = []syscall.Errno{syscall.EMFILE, syscall.ENFILE}
)
