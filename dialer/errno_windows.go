package dialer

import "syscall"

// Winsock's numbers. Package syscall invents others for these names, which no
// system call returns.
var (
	errnoAddrInUse    = []syscall.Errno{10048, 10055} // WSAEADDRINUSE, and WSAENOBUFS when the dynamic ports are used up
	errnoAddrNotAvail = []syscall.Errno{10049}        // WSAEADDRNOTAVAIL
	errnoUnreachable  = []syscall.Errno{10051, 10065} // WSAENETUNREACH, WSAEHOSTUNREACH
	errnoInvalid      = []syscall.Errno{10022}        // WSAEINVAL
	errnoFiles        = []syscall.Errno{10024}        // WSAEMFILE
)
