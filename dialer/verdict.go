package dialer

import (
	"sync"
	"syscall"
)

// socket is what the kernel says about a connection.
type socket struct {
	known  bool // it could be asked
	state  tcpState
	unread bool // data waits in the receive buffer
	failed bool // an error waits to be reported
	abort  bool // SO_LINGER is on with zero seconds
	clean  bool // it is to be reset, in place of a FIN
}

// tcpState is a state of TCP, in the kernel's numbers (include/net/tcp_states.h).
type tcpState uint8

const (
	tcpEstablished tcpState = 1
	tcpFinWait2    tcpState = 5
	tcpClose       tcpState = 7
	tcpCloseWait   tcpState = 8
	tcpLastAck     tcpState = 9
)

// peerFirst reports whether the peer's FIN is here and came before ours.
func (s socket) peerFirst() bool {
	return s.known && (s.state == tcpCloseWait || s.state == tcpLastAck)
}

// resettable reports whether closing now would leave a TIME_WAIT here, as far as
// that can be told before the question of what is unsent.
func (s socket) resettable() bool {
	return s.known && !s.unread && !s.abort && (s.state == tcpEstablished || s.state == tcpFinWait2)
}

// lookLocked asks the kernel about the socket, in view of how it is to be closed.
// It changes nothing.
func (c *Conn) lookLocked(raw syscall.RawConn) socket {
	l := lookers.Get().(*looker)
	defer lookers.Put(l)
	l.mode, l.fin, l.linger, l.lent, l.read, l.found = c.mode, c.fin, c.linger, c.lent.Load(), c.read.Load(), socket{}
	raw.Control(l.run)
	return l.found
}

// looker carries the answer out of the function that RawConn.Control calls. It is
// kept between calls because that function would be allocated for each.
type looker struct {
	mode   CloseMode
	fin    finOrder
	linger int
	lent   bool
	read   int64 // what of the peer's was read, as far as the Conn knows
	found  socket
	run    func(fd uintptr)
	info   tcpInfo
}

var lookers = sync.Pool{New: func() any {
	l := new(looker)
	l.run = func(fd uintptr) {
		l.found = l.lookAt(int(fd))
		l.found.clean = l.mode.ResetIfClean && l.found.resettable() && !undelivered(int(fd))
	}
	return l
}}

// judgeLocked foresees what closing the socket now means. The time is left out.
func (c *Conn) judgeLocked(s socket) CloseRecord {
	abort := s.abort || s.clean
	switch {
	case !s.known:
		return CloseRecord{By: UnknownInitiator, Reset: c.linger == 0}
	case s.state == tcpClose:
		return c.judgeEnded(s)
	case s.peerFirst():
		return CloseRecord{By: Peer, Reset: s.unread || s.abort && s.state == tcpCloseWait}
	default:
		// Nothing of the peer's yet, or it crosses with ours. The kernel sends a
		// RST by itself when data is thrown away unread (RFC 1122, 4.2.2.13).
		return CloseRecord{By: Local, Reset: s.unread || abort, TimeWait: !s.unread && !abort}
	}
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
