//go:build unix

package dialer

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// queued reports whether a connection waits to be accepted.
func (l *Listener) queued() (bool, error) {
	var events int16
	var err error
	cerr := l.raw.Control(func(fd uintptr) {
		fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		_, err = unix.Poll(fds[:], 0)
		events = fds[0].Revents
	})
	if err == unix.EINTR {
		return true, nil // it will be asked again
	}
	return events&unix.POLLIN != 0, errors.Join(cerr, os.NewSyscallError("poll", err))
}
