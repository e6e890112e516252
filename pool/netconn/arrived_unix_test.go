//go:build unix

package netconn_test

import "golang.org/x/sys/unix"

// arrived reports whether bytes, or the end, can be read from the socket.
func arrived(fd uintptr, _ int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return n > 0 && err == nil
}
