package dialer

import (
	"net"
	"runtime"
	"sync/atomic"
)

// ListenerStats counts the connections of a Listener since it was made. At any
// time Accepted is the sum of Open, ClosedLocally, ClosedByPeer and
// ClosedUnknown.
type ListenerStats struct {
	// Accepted is how many connections Accept has returned.
	Accepted uint64

	// Open is how many of them are open now.
	Open uint64

	// ClosedLocally, ClosedByPeer and ClosedUnknown are how many have been closed,
	// by who ended them first: Local, Peer or UnknownInitiator, see
	// [CloseRecord.By]. A connection that was lost without Close counts as
	// unknown once the garbage collector has found it.
	ClosedLocally, ClosedByPeer, ClosedUnknown uint64

	// Resets is how many of the closed ended by RST, see [CloseRecord.Reset].
	Resets uint64

	// TimeWaits is how many of the closed left a TIME_WAIT on this host, foreseen
	// like [CloseRecord.TimeWait].
	TimeWaits uint64
}

// Stats returns the counts, all of one moment.
func (l *Listener) Stats() ListenerStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats
}

// seat is the place of an accepted connection in the counts of its listener. It
// is left once.
type seat struct {
	listener *Listener
	empty    atomic.Bool
	lost     runtime.Cleanup // leaves it for a connection that is lost without Close
}

// seat counts a connection that holds a slot.
func (l *Listener) seat(tc *net.TCPConn) *Conn {
	s := &seat{listener: l}
	// On the TCPConn, not on the Conn: it may be kept through NetConn. When it is
	// lost, package net closes the socket.
	s.lost = runtime.AddCleanup(tc, func(s *seat) { s.leave(CloseRecord{By: UnknownInitiator}) }, s)
	c := Wrap(tc)
	c.seat = s
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Accepted++
	l.stats.Open++
	return c
}

// leave counts the end of the connection, after its socket is closed.
func (s *seat) leave(r CloseRecord) {
	if s.empty.Swap(true) {
		return
	}
	s.lost.Stop()
	s.listener.slots.free()
	s.listener.mu.Lock()
	defer s.listener.mu.Unlock()
	s.listener.stats.closed(r)
}

func (s *ListenerStats) closed(r CloseRecord) {
	s.Open--
	switch r.By {
	case Local:
		s.ClosedLocally++
	case Peer:
		s.ClosedByPeer++
	default:
		s.ClosedUnknown++
	}
	if r.Reset {
		s.Resets++
	}
	if r.TimeWait {
		s.TimeWaits++
	}
}
