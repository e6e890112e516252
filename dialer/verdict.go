package dialer

import "time"

// socket is what the kernel says about a connection.
type socket struct {
	known  bool // it could be asked
	state  tcpState
	unread bool // data waits in the receive buffer
	failed bool // an error waits to be reported
	abort  bool // SO_LINGER is on with zero seconds
}

// tcpState is a state of TCP, in the kernel's numbers (include/net/tcp_states.h).
type tcpState uint8

const (
	tcpFinWait1  tcpState = 4
	tcpFinWait2  tcpState = 5
	tcpClose     tcpState = 7
	tcpCloseWait tcpState = 8
	tcpLastAck   tcpState = 9
)

// peerFirst reports whether the peer's FIN is here and came before ours.
func (s socket) peerFirst() bool {
	return s.known && (s.state == tcpCloseWait || s.state == tcpLastAck)
}

// judgeLocked foresees what closing the connection now means.
func (c *Conn) judgeLocked() CloseRecord {
	s := c.look()
	var r CloseRecord
	switch {
	case !s.known:
		r = CloseRecord{By: UnknownInitiator, Reset: c.linger == 0}
	case s.state == tcpClose:
		r = c.judgeEnded(s)
	case s.peerFirst():
		r = CloseRecord{By: Peer, Reset: s.unread || s.abort && s.state == tcpCloseWait}
	default:
		// Nothing of the peer's yet, or it crosses with ours. The kernel sends a
		// RST by itself when data is thrown away unread (RFC 1122, 4.2.2.13).
		r = CloseRecord{By: Local, Reset: s.unread || s.abort, TimeWait: !s.unread && !s.abort}
	}
	r.At = time.Now()
	return r
}

// judgeEnded tells the ends apart after which the socket holds nothing more: it
// says CLOSED after both FINs as well as after a RST, and what is in the receive
// buffer or in SO_LINGER makes no difference any more.
func (c *Conn) judgeEnded(s socket) CloseRecord {
	reset := s.failed || c.broken.Load() || c.fin == finNotSent
	by := Peer
	if c.fin == finFirst {
		by = Local
	}
	return CloseRecord{By: by, Reset: reset, TimeWait: by == Local && !reset}
}
