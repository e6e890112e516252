package shadow

import (
	"sync"
	"sync/atomic"
)

// Counts is what the wrapped transport did. A request belongs to the origin in
// its URL, and so do the connections that were dialed for it, by way of a proxy
// or not. The figures are read one by one while the transport works.
type Counts struct {
	Requests  uint64 // RoundTrip calls for http and https
	Failed    uint64 // of these, how many returned an error
	Sent      uint64 // requests written in full to a connection; more than one for a request that the transport sent again, none for one that never had a connection
	Exchanges uint64 // final responses (status 200 and above, or 101)

	// Opened counts the connections established: every TCP connection, that of
	// a proxy, of the loser in a race of IPv6 and IPv4, and of a dial that
	// nobody waited for any more included. Of a dial function that does not
	// pass its context on to package net only the connections are known that
	// requests were sent on.
	Opened      uint64
	FailedDials uint64 // attempts to connect that failed, each address counted

	Reused  uint64 // requests given a connection on which one had been sent before, or that had lain idle
	NotKept uint64 // HTTP/1 connections that were fit to serve again and closed, mostly since too many were idle already

	Handshakes       uint64 // TLS handshakes completed
	FailedHandshakes uint64 // TLS handshakes that failed

	Bodies    uint64 // response bodies read to their end. A response without one, or whose body was handed out by an upgrade, counts nowhere here
	Abandoned uint64 // response bodies closed before their end
	Broken    uint64 // response bodies of which a Read failed
}

// add sums up.
func (c *Counts) add(other Counts) {
	c.Requests += other.Requests
	c.Failed += other.Failed
	c.Sent += other.Sent
	c.Exchanges += other.Exchanges
	c.Opened += other.Opened
	c.FailedDials += other.FailedDials
	c.Reused += other.Reused
	c.NotKept += other.NotKept
	c.Handshakes += other.Handshakes
	c.FailedHandshakes += other.FailedHandshakes
	c.Bodies += other.Bodies
	c.Abandoned += other.Abandoned
	c.Broken += other.Broken
}

// counters are one target's.
type counters struct {
	requests, failed, sent, exchanges atomic.Uint64

	connected, refused atomic.Uint64 // by package net's hooks
	fresh, reused      atomic.Uint64 // connections given to requests
	notKept            atomic.Uint64

	handshakes, badHandshakes  atomic.Uint64
	bodies, abandoned, brokens atomic.Uint64
}

func (n *counters) read() Counts {
	// fresh before connected: a connection counted in between makes a figure
	// late, and never looks like one that package net did not see.
	fresh := n.fresh.Load()
	return Counts{
		Requests:         n.requests.Load(),
		Failed:           n.failed.Load(),
		Sent:             n.sent.Load(),
		Exchanges:        n.exchanges.Load(),
		Opened:           max(fresh, n.connected.Load()),
		FailedDials:      n.refused.Load(),
		Reused:           n.reused.Load(),
		NotKept:          n.notKept.Load(),
		Handshakes:       n.handshakes.Load(),
		FailedHandshakes: n.badHandshakes.Load(),
		Bodies:           n.bodies.Load(),
		Abandoned:        n.abandoned.Load(),
		Broken:           n.brokens.Load(),
	}
}

// maxTargets bounds how many targets are counted by themselves. The others
// share the counters of otherTargets.
const maxTargets = 1024

var otherTargets = target{scheme: "", addr: "_other"}

// tally holds the counters of all targets.
type tally struct {
	mu       sync.RWMutex // guards the map
	byTarget map[target]*counters
	other    counters
	crowded  atomic.Bool // other is in use
}

// of finds or makes the counters of t.
func (y *tally) of(t target) *counters {
	y.mu.RLock()
	n := y.byTarget[t]
	full := len(y.byTarget) >= maxTargets
	y.mu.RUnlock()
	switch {
	case n != nil:
		return n
	case full:
		y.crowded.Store(true)
		return &y.other
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	if n := y.byTarget[t]; n != nil {
		return n
	}
	n = new(counters)
	y.byTarget[t] = n
	return n
}

// each calls f with the figures of each target.
func (y *tally) each(f func(target, Counts)) {
	y.mu.RLock()
	all := make(map[target]*counters, len(y.byTarget)+1)
	for t, n := range y.byTarget {
		all[t] = n
	}
	y.mu.RUnlock()
	if y.crowded.Load() {
		all[otherTargets] = &y.other
	}
	for t, n := range all {
		f(t, n.read())
	}
}
