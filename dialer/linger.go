package dialer

import (
	"io"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// maxLingering is how many sockets of the process may wait for their peers
	// to close. Peers that do close take about a round trip each; the bound is
	// for those that do not, which hold a descriptor until their time is over.
	maxLingering = 256

	// maxDiscarded is how many bytes a peer may still send. What says goodbye
	// fits in: session tickets and close_notify of TLS, the end of a body.
	maxDiscarded = 64 << 10
)

// lingering counts the sockets that wait for their peers.
var lingering atomic.Int32

// remains are what is left of a Conn between its Close and the end of its
// socket: a second descriptor of the socket, which keeps the kernel from sending
// our FIN. The user's calls use the first one, and have ended with it.
type remains struct {
	conn *Conn
	file *os.File
	raw  syscall.RawConn
	wait time.Duration // for the peer's FIN; zero is no wait
	eof  bool          // the peer's FIN was read
}

// keepLocked holds the socket of a Conn that is about to be closed. It returns
// nil if closing its descriptor is all that there is to do, or can be done.
func (c *Conn) keepLocked(s socket) *remains {
	wait := c.mode.PeerFirst > 0 && c.peerMayBeFirst(s) && startLingering()
	if !wait && !s.clean {
		return nil
	}
	r := &remains{conn: c}
	if wait {
		r.wait = c.mode.PeerFirst
	}
	if r.file = duplicate(c.TCPConn); r.file == nil {
		r.stopLingering()
		return nil
	}
	r.raw, _ = r.file.SyscallConn() // fails for a nil file only
	if wait && r.file.SetReadDeadline(time.Now().Add(r.wait)) != nil {
		r.file.Close()
		r.stopLingering()
		return nil
	}
	return r
}

// peerMayBeFirst reports whether there is something to wait for: the peer has
// not ended the connection yet, and neither have we. A FIN that is here behind
// data not read is worth reading up to: closed before that, the socket sends a
// RST.
func (c *Conn) peerMayBeFirst(s socket) bool {
	if c.fin != finNotSent {
		return false
	}
	if !s.known {
		return c.linger != 0
	}
	return !s.abort && (s.state == tcpEstablished || s.state == tcpCloseWait && s.unread)
}

// startLingering takes one of the places, if there is one.
func startLingering() bool {
	if lingering.Add(1) > maxLingering {
		lingering.Add(-1)
		return false
	}
	return true
}

func (r *remains) stopLingering() {
	if r.wait > 0 {
		lingering.Add(-1)
	}
}

// linger waits for the peer and closes the socket. It ends when the peer's FIN
// or RST comes, or else when the time is over.
func (r *remains) linger() {
	err := r.discard()
	r.eof = err == io.EOF
	r.conn.note(err)
	r.close()
}

// discard reads up to an error, EOF among them, or up to the bound.
func (r *remains) discard() error {
	buf := make([]byte, 4<<10)
	for left := maxDiscarded; left > 0; {
		n, err := receive(r.raw, buf)
		if err != nil {
			return err
		}
		left -= n
	}
	return nil
}

// close makes the record final and closes the socket.
func (r *remains) close() {
	c := r.conn
	c.mu.Lock()
	// Nobody writes any more, so what is clean now stays so.
	s := c.lookLocked(r.raw)
	if s.clean {
		r.raw.Control(func(fd uintptr) { s.clean = abort(int(fd)) })
	}
	record := c.judgeLocked(s)
	if r.eof && !s.known {
		record.By = Peer
	}
	c.endLocked(record)
	c.mu.Unlock()
	r.file.Close()
	r.stopLingering()
	c.ended()
}
