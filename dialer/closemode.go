package dialer

import "time"

// CloseMode says how Close ends a connection. The zero value sends our FIN at
// once, which is what net.TCPConn does and what leaves a TIME_WAIT on this host
// if the peer has not closed before.
//
// Both fields may be set: then the peer is waited for first.
type CloseMode struct {
	// PeerFirst makes Close polite: for so long the peer is left to close
	// first, so that the TIME_WAIT is the peer's. It is meant for a connection
	// on which the peer was told, or has said, that it will close: the last
	// response of HTTP/1 came with Connection: close, or a close_notify of TLS
	// went out. A second is plenty for most peers. Zero or negative: no wait.
	//
	// Close itself does not wait. It returns at once, and every call on the
	// Conn fails with net.ErrClosed, as after any Close; behind it the socket
	// stays open, what still arrives is thrown away, and when the peer's FIN or
	// RST is here, the time is over, or more than 64 KiB have come, the socket
	// is closed. Until then it takes a file descriptor and a goroutine. The
	// process has at most 256 sockets in this state: Close of one more does not
	// wait for the peer, nor does that of a connection on which CloseWrite was
	// called, since the TIME_WAIT is ours already.
	//
	// Ignored on Windows.
	PeerFirst time.Duration

	// ResetIfClean makes Close send a RST in place of the FIN, and leave no
	// TIME_WAIT, where nothing can be lost by that on this side of the wire:
	// the peer has not closed, its kernel has acknowledged everything written
	// here, and nothing of the peer's waits to be read. Otherwise, and where
	// the system cannot be asked (everywhere but on Linux), the FIN is sent.
	//
	// TCP does not tell whether the peer's program has read what its kernel has
	// acknowledged, and some systems throw that away when a RST comes; Linux
	// does not. So set it where the last word was the peer's, such as the
	// complete response to a complete request. The peer's next read fails with
	// a reset instead of EOF.
	ResetIfClean bool
}

// SetCloseMode sets how Close ends the connection. It is meant to be called
// before Close. After it, while the socket waits for the peer, a mode without
// PeerFirst ends the wait at once, and what is left to do is done in that mode;
// any other call has no effect. Reset does not look at the mode.
func (c *Conn) SetCloseMode(m CloseMode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.closed:
		c.mode = m
	case c.remains != nil && c.remains.wait > 0 && m.PeerFirst <= 0:
		c.mode = m
		c.remains.file.SetReadDeadline(time.Unix(1, 0)) // wakes linger
	}
}

// OnClose has f called when the connection has ended and its record is final:
// once, with no lock held, when the socket is closed and its port is free or in
// TIME_WAIT. That is before Close or Reset return or, where the peer is waited
// for, afterwards and on a goroutine of its own. A later OnClose replaces f, one
// after Close has no effect. f is not called for a connection that is never
// closed.
func (c *Conn) OnClose(f func(CloseRecord)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.onClose = f
	}
}
