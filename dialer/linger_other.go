//go:build !unix

package dialer

import (
	"errors"
	"net"
	"os"
	"syscall"
)

// duplicate has no second descriptor to offer: on Windows a socket waits at one
// completion port only, which is that of the first.
func duplicate(*net.TCPConn) *os.File { return nil }

func receive(syscall.RawConn, []byte) (int, error) { return 0, errors.ErrUnsupported }
