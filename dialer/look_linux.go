package dialer

import "golang.org/x/sys/unix"

// tcpInfo is what TCP_INFO says.
type tcpInfo = unix.TCPInfo

// lookAt asks the kernel about the connection and changes nothing: reading with
// MSG_PEEK would take a waiting error out of the socket, and the Read after it
// would find a plain EOF where there was a reset.
func (l *looker) lookAt(fd int) socket {
	s := socket{known: true, abort: l.linger == 0}
	switch {
	case l.lent:
		// Our FIN may be out without our knowledge, and SO_RCVLOWAT set, with
		// which poll keeps silent about a little data.
		s.abort = lingerOf(fd) == 0
	case l.fin == finNotSent && pollNow(fd) == 0:
		s.state = tcpEstablished // neither data nor a FIN or RST of the peer's waits
		return s
	}
	l.info.Bytes_received = ^uint64(0) // Linux 4.1; older ones leave it out
	if getTCPInfo(fd, &l.info) != 0 {
		return socket{}
	}
	s.state = tcpState(l.info.State)
	switch {
	case s.state == tcpClose:
		s.failed = pollNow(fd)&unix.POLLERR != 0
	case s.state != tcpEstablished || l.info.Bytes_received != uint64(l.read):
		s.unread = unread(fd)
	}
	// Otherwise all that has come was read, and the kernel need not be asked. A
	// FIN counts as a byte there.
	return s
}

// unread reports whether data waits to be read. A FIN is not data.
func unread(fd int) bool {
	n, err := unix.IoctlGetInt(fd, unix.SIOCINQ)
	return err == nil && n > 0
}

// undelivered reports whether something that was written, or our FIN, has not
// been acknowledged by the peer's kernel.
func undelivered(fd int) bool {
	n, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	return err != nil || n > 0
}

// abort makes closing the socket a reset, and reports whether it will be one.
func abort(fd int) bool { return setLinger(fd, 0) == 0 }
