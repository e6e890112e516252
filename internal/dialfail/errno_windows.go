package dialfail

import (
	"errors"
	"syscall"

	"golang.org/x/sys/windows"
)

// errnos are Winsock's, under the names that the other systems have for them.
var errnos = map[syscall.Errno]string{
	windows.WSAEACCES:        "EACCES",
	windows.WSAEADDRINUSE:    "EADDRINUSE",
	windows.WSAEADDRNOTAVAIL: "EADDRNOTAVAIL",
	windows.WSAEAFNOSUPPORT:  "EAFNOSUPPORT",
	windows.WSAECONNABORTED:  "ECONNABORTED",
	windows.WSAECONNREFUSED:  "ECONNREFUSED",
	windows.WSAECONNRESET:    "ECONNRESET",
	windows.WSAEHOSTUNREACH:  "EHOSTUNREACH",
	windows.WSAEINVAL:        "EINVAL",
	windows.WSAEMFILE:        "EMFILE",
	windows.WSAENETUNREACH:   "ENETUNREACH",
	windows.WSAENOBUFS:       "ENOBUFS",
	windows.WSAETIMEDOUT:     "ETIMEDOUT",
}

func errnoName(err error) string {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return ""
	}
	return errnos[errno]
}
