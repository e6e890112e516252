//go:build unix && !aix

package netconn

import "golang.org/x/sys/unix"

const canLook = true

func lookAt(fd uintptr) sight {
	events := poll(fd)
	switch {
	case events == 0:
		return quiet
	case events&peerEnded != 0 || nothingToRead(int(fd)):
		return ended
	}
	return unread
}

// poll returns what has happened to the socket, without waiting.
func poll(fd uintptr) int16 {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | peerEnded}}
	for {
		n, err := unix.Poll(fds[:], 0)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return unix.POLLERR
		case n == 0:
			return 0
		default:
			return fds[0].Revents
		}
	}
}

// nothingToRead reports whether a socket that is ready to be read has come to its
// end, where poll alone does not say so.
func nothingToRead(fd int) bool {
	n, _, err := unix.Recvfrom(fd, make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return n <= 0 && err != unix.EAGAIN && err != unix.EINTR
}
