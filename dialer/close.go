package dialer

import "time"

// Initiator says whose doing the end of a connection was. Its values are fit to
// be attributes of a metric.
type Initiator string

// Who ended a connection.
const (
	// Local is this side: our FIN went out before theirs came in, or nothing of
	// theirs had come when we closed.
	Local Initiator = "local"
	// Peer is the other side: its FIN or RST came first, or it fell silent
	// until the kernel gave it up.
	Peer Initiator = "peer"
	// UnknownInitiator is reported where the system cannot be asked (everywhere
	// but on Linux), and for a connection that was closed past its Conn.
	UnknownInitiator Initiator = "unknown"
)

// CloseRecord says how a connection ended.
type CloseRecord struct {
	// By is who closed first.
	By Initiator

	// Reset says that the end was an abort, by RST from either side or by the
	// kernel giving up, not an exchange of FINs. By is Local for a reset by
	// Conn.Reset, by SO_LINGER 0 or by closing with unread data, unless the
	// peer's FIN had come before. It is so, too, for a reset by CloseMode.
	Reset bool

	// TimeWait says that a TIME_WAIT stays on this host, and keeps the local
	// port from being used for the same destination for a minute. It is
	// foreseen at Close, and an upper bound: the peer's FIN or RST that arrives
	// while we close spares us the TIME_WAIT. Always false where By is unknown.
	TimeWait bool

	// At is when Close or Reset was called, also where the end came later.
	At time.Time
}

// finOrder remembers what a socket that has seen both FINs does not tell.
type finOrder uint8

const (
	finNotSent finOrder = iota
	finFirst            // our CloseWrite came before the peer's FIN
	finSecond           // the peer's FIN had come before our CloseWrite
)

// Close records how the connection ends, see CloseRecord, and closes it in the
// way that SetCloseMode says. It can be called at any time, also while others
// read and write: their calls return. A second Close does nothing but return the
// error that net.TCPConn returns.
func (c *Conn) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return c.TCPConn.Close()
	}
	s := c.closeLocked()
	if c.remains = c.keepLocked(s); c.remains == nil {
		s.clean = false
		c.endLocked(c.judgeLocked(s))
	}
	rest := c.remains
	c.mu.Unlock()
	err := c.TCPConn.Close()
	switch {
	case rest == nil:
		c.ended()
	case rest.wait > 0:
		go rest.linger() // ends with the socket, at the latest when the time is over
	default:
		rest.close()
	}
	return err
}

// Reset closes the connection by RST: nothing of it stays on this host, no
// TIME_WAIT either. What was written and has not reached the peer is lost, and
// the peer's next read fails. On a connection that both sides have already
// closed for writing it is too late for that; Reset is then like Close. On a
// closed connection it is, too, even if Close has left the socket waiting for
// the peer.
func (c *Conn) Reset() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return c.TCPConn.Close()
	}
	lingerErr := c.setLingerLocked(0)
	c.endLocked(c.judgeLocked(c.closeLocked()))
	c.mu.Unlock()
	err := c.TCPConn.Close()
	c.ended()
	if err == nil {
		err = lingerErr
	}
	return err
}

// closeLocked marks the Conn as closed and returns what the socket looked like
// at that moment.
func (c *Conn) closeLocked() socket {
	c.closed = true
	c.record.At = time.Now()
	return c.lookLocked(c.raw)
}

// endLocked makes the record final, but for the time, which is there.
func (c *Conn) endLocked(r CloseRecord) {
	r.At = c.record.At
	c.record, c.final, c.remains = r, true, nil
}

// ended is called once, when the socket is closed and the record final.
func (c *Conn) ended() {
	c.mu.Lock()
	f, record := c.onClose, c.record
	c.mu.Unlock()
	c.giveBack(record)
	if f != nil {
		f(record)
	}
}

// giveBack ends the connection's count on its source, or in its Listener. The
// port is free, or in TIME_WAIT, from now on.
func (c *Conn) giveBack(record CloseRecord) {
	if c.lease != nil {
		c.lease.release(record.TimeWait)
		c.dropped.Stop()
	} else if !record.TimeWait {
		ports.freed(c.RemoteAddr())
	}
	if c.seat != nil {
		c.seat.leave(record)
	}
}

// CloseWrite sends our FIN: the peer reads EOF, we can go on reading. Whether it
// came before the peer's is remembered for the record.
func (c *Conn) CloseWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.lookLocked(c.raw)
	if err := c.TCPConn.CloseWrite(); err != nil {
		return err
	}
	if c.fin == finNotSent {
		c.fin = finFirst
		if before.peerFirst() || c.lookLocked(c.raw).peerFirst() {
			c.fin = finSecond
		}
	}
	return nil
}

// SetLinger sets what Close does with unsent data, like net.TCPConn's. With zero
// seconds it becomes a reset.
func (c *Conn) SetLinger(sec int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.setLingerLocked(sec)
}

func (c *Conn) setLingerLocked(sec int) error {
	err := c.TCPConn.SetLinger(sec)
	if err == nil {
		c.linger = sec
	}
	return err
}

// CloseState returns what Close would record if it were called now, and if the
// peer, where CloseMode has it waited for, did not close first. While the socket
// of a closed connection waits for the peer it is what the record would be if
// the wait ended now, and after that it is the record itself. It changes nothing
// about the connection.
func (c *Conn) CloseState() CloseRecord {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.final {
		return c.record
	}
	raw, at := c.raw, time.Now()
	if c.closed {
		raw, at = c.remains.raw, c.record.At
	}
	r := c.judgeLocked(c.lookLocked(raw))
	r.At = at
	return r
}

// CloseRecord returns how the connection was closed, and false before that is
// final: while the connection is open, and after its Close while the socket
// still waits for the peer. OnClose tells when it is.
func (c *Conn) CloseRecord() (CloseRecord, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.final {
		return CloseRecord{}, false
	}
	return c.record, true
}
