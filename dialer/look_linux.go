package dialer

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// tcpInfo is what TCP_INFO says.
type tcpInfo = unix.TCPInfo

// lookAt asks the kernel about the connection and changes nothing: reading with
// MSG_PEEK would take a waiting error out of the socket, and the Read after it
// would find a plain EOF where there was a reset.
func (l *looker) lookAt(fd int) socket {
	if !l.ask(fd) {
		return socket{}
	}
	s := socket{known: true, state: tcpState(l.info.State), abort: l.aborts || lingerOf(fd) == 0}
	switch {
	case s.state == tcpClose:
		s.failed = poll(fd)&unix.POLLERR != 0
	case s.state != tcpEstablished || l.info.Bytes_received != uint64(l.read):
		s.unread = unread(fd)
	}
	// Otherwise all that has come was read, and the kernel need not be asked. A
	// FIN counts as a byte there.
	return s
}

// ask gets the connection's TCP_INFO. An older kernel leaves the end of it out.
func (l *looker) ask(fd int) bool {
	l.info.Bytes_received = ^uint64(0) // Linux 4.1
	size := uint32(unsafe.Sizeof(l.info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP, unix.TCP_INFO, uintptr(unsafe.Pointer(&l.info)), uintptr(unsafe.Pointer(&size)), 0)
	return errno == 0
}

// unread reports whether data waits to be read. A FIN is not data.
func unread(fd int) bool {
	n, err := unix.IoctlGetInt(fd, unix.SIOCINQ)
	return err == nil && n > 0
}

// poll returns what has happened to the socket, without waiting.
func poll(fd int) int16 {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | unix.POLLRDHUP}}
	for {
		_, err := unix.Poll(fds[:], 0)
		if err != unix.EINTR {
			return fds[0].Revents
		}
	}
}

// undelivered reports whether something that was written, or our FIN, has not
// been acknowledged by the peer's kernel.
func undelivered(fd int) bool {
	n, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	return err != nil || n > 0
}

// abort makes closing the socket a reset, and reports whether it will be one.
func abort(fd int) bool { return setLinger(fd, 0) == nil }
