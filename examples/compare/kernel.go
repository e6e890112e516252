package main

import (
	"errors"
	"net/netip"
)

// errNotMeasured says that this system has no table of sockets that compare
// can read.
var errNotMeasured = errors.New("TIME_WAITs are counted on Linux only")

// tcpState is a TCP state by the kernel's number.
type tcpState uint8

const (
	stateEstablished tcpState = 1
	stateTimeWait    tcpState = 6
	stateListen      tcpState = 10
)

// tuple is the two ends of a connection, ours and the other.
type tuple struct{ local, remote netip.AddrPort }

// socket is one row of the kernel's table of TCP sockets.
type socket struct {
	tuple
	state tcpState
}

// census is the part of that table which concerns one server.
type census struct {
	// ours holds the TIME_WAITs whose remote end is the server.
	ours map[tuple]bool
	// servers counts the TIME_WAITs whose local end is the server.
	servers int
	// open counts our established connections to the server, moving those
	// that are on their way to being open or closed.
	open, moving int
}

// takeCensus counts the sockets of the server whose addresses isServer knows.
func takeCensus(isServer func(netip.AddrPort) bool) (census, error) {
	all, err := readSockets()
	if err != nil {
		return census{}, err
	}
	c := census{ours: map[tuple]bool{}}
	for _, s := range all {
		toServer, ofServer := isServer(s.remote), isServer(s.local)
		switch {
		case s.state == stateListen:
		case s.state == stateTimeWait && toServer:
			c.ours[s.tuple] = true
		case s.state == stateTimeWait && ofServer:
			c.servers++
		case s.state == stateEstablished && toServer:
			c.open++
		case s.state != stateEstablished && s.state != stateTimeWait && (toServer || ofServer):
			c.moving++
		}
	}
	return c, nil
}

// without returns how many of c's own TIME_WAITs are not in earlier.
func (c census) without(earlier census) int {
	n := 0
	for t := range c.ours {
		if !earlier.ours[t] {
			n++
		}
	}
	return n
}
