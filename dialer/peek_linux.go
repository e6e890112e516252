package dialer

import (
	"sync"

	"golang.org/x/sys/unix"
)

// Peek looks at the connection without reading from it, waiting or changing
// anything, and without regard to deadlines. It may be called while others read
// and write, but what it finds may then be theirs the next moment.
func (c *Conn) Peek() PeerState {
	p := peekers.Get().(*peeker)
	defer peekers.Put(p)
	p.found = ClosedByPeer
	c.raw.Control(p.run)
	return p.found
}

// peeker carries the answer out of the function that RawConn.Control calls. It
// is kept between calls because that function would be allocated for each: Peek
// runs before every reuse of a connection.
type peeker struct {
	found PeerState
	run   func(fd uintptr)
}

var peekers = sync.Pool{New: func() any {
	p := new(peeker)
	p.run = func(fd uintptr) { p.found = peek(int(fd)) }
	return p
}}

func peek(fd int) PeerState {
	const ended = unix.POLLRDHUP | unix.POLLHUP | unix.POLLERR
	switch events := pollNow(fd); {
	case events == 0:
		return Quiet
	case events == unix.POLLNVAL:
		return Unknown
	case events&ended == 0 || unread(fd):
		return HasData
	}
	return ClosedByPeer
}
