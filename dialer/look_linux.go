package dialer

import "golang.org/x/sys/unix"

// lookAt asks the kernel about the connection and changes nothing: reading with
// MSG_PEEK would take a waiting error out of the socket, and the Read after it
// would find a plain EOF where there was a reset.
func lookAt(fd int) socket {
	// The first byte of struct tcp_info is the state.
	state, err := unix.GetsockoptByte(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return socket{}
	}
	s := socket{known: true, state: tcpState(state), abort: lingerOf(fd) == 0}
	if s.state == tcpClose {
		s.failed = poll(fd)&unix.POLLERR != 0
	} else {
		s.unread = unread(fd)
	}
	return s
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
