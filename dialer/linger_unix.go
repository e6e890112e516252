//go:build unix

package dialer

import (
	"io"
	"net"
	"os"
	"syscall"
)

// duplicate returns another descriptor of the socket, or nil if there is none to
// be had.
func duplicate(tc *net.TCPConn) *os.File {
	f, err := tc.File()
	if err != nil {
		return nil // closed past the Conn, or out of descriptors
	}
	return f
}

// receive reads what is there, or waits for it up to the deadline of the file.
// It does not depend on the socket being in non-blocking mode, as read would:
// the mode is shared by all descriptors, and a user may have changed it through
// one from File.
func receive(raw syscall.RawConn, p []byte) (n int, err error) {
	rerr := raw.Read(func(fd uintptr) bool {
		for {
			n, _, err = syscall.Recvfrom(int(fd), p, syscall.MSG_DONTWAIT)
			if err != syscall.EINTR {
				return err != syscall.EAGAIN
			}
		}
	})
	switch {
	case rerr != nil:
		return 0, rerr
	case n == 0 && err == nil:
		return 0, io.EOF
	}
	return n, err
}
