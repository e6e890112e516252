package netconn

import "syscall"

// sight is what can be seen of the peer on a socket that nobody reads.
type sight uint8

const (
	quiet  sight = iota // nothing waits to be read
	unread              // the peer has sent something
	ended               // the peer has closed, perhaps after it has sent something; or we have
)

// socket looks at a socket without reading from it, waiting, or regard to
// deadlines. It is not for concurrent use.
type socket struct {
	raw   syscall.RawConn
	found sight
	run   func(fd uintptr) // kept, because it would be allocated for each look
}

func newSocket(raw syscall.RawConn) *socket {
	if !canLook {
		return nil
	}
	s := &socket{raw: raw}
	s.run = func(fd uintptr) { s.found = lookAt(fd) }
	return s
}

func (s *socket) look() sight {
	s.found = ended // what stays if the socket is closed
	s.raw.Control(s.run)
	return s.found
}
