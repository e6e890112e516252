package netconn

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

const canLook = true

// wsaPoll is there since Windows Vista.
var wsaPoll = windows.NewLazySystemDLL("ws2_32.dll").NewProc("WSAPoll")

// pollFd is WSAPOLLFD.
type pollFd struct {
	socket          uintptr
	events, revents int16
}

const (
	pollErr = 0x1 // POLLERR
	pollHup = 0x2 // POLLHUP
	pollIn  = 0x300
)

func lookAt(fd uintptr) sight {
	p := pollFd{socket: fd, events: pollIn}
	n, _, _ := wsaPoll.Call(uintptr(unsafe.Pointer(&p)), 1, 0)
	switch {
	case n == 0:
		return quiet
	case int32(n) < 0 || p.revents&(pollErr|pollHup) != 0:
		return ended
	}
	return unread
}
