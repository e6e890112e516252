package netconn

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stayopen-go/stayopen/pool"
)

// Stats is what a [Pool] has done since New, and what it has now. The figures are
// read one by one while the pool works. At rest
//
//	Opened = Open + Closed + Detached
type Stats struct {
	HandedOut uint64 // connections that DialContext returned
	Reused    uint64 // of these, how many had been handed out before: each is one open and one close that did not happen

	Opened   uint64 // connections that Config.Dial brought
	Failed   uint64 // calls of Config.Dial that brought none
	Closed   uint64 // connections that were closed
	Detached uint64 // connections that Conn.Detach took out of the pool

	// Reasons says how many of Closed were closed for which reason. One that has
	// not occurred is missing. The map is the caller's.
	Reasons map[pool.Reason]uint64

	Waited   uint64        // how often a caller was handed a connection that it had waited for, dials included
	WaitTime time.Duration // how long these waited, added up

	Open    int // connections open now
	Idle    int // of these, how many nobody uses
	InUse   int // of these, how many are handed out
	Dialing int // dials under way
	Waiting int // callers that wait
}

// Stats returns the figures.
func (p *Pool) Stats() Stats {
	n, now := &p.count, p.pool.Stats()
	s := Stats{
		HandedOut: n.handedOut.Load(),
		Reused:    n.reused.Load(),
		Opened:    n.opened.Load(),
		Failed:    n.failed.Load(),
		Detached:  n.detached.Load(),
		Waited:    n.waits.Load(),
		WaitTime:  time.Duration(n.waitTime.Load()),
		Open:      now.Open,
		Idle:      now.Idle,
		InUse:     now.Leases,
		Dialing:   now.Dialing,
		Waiting:   now.Waiting,
	}
	n.mu.Lock()
	s.Reasons = maps.Clone(n.reasons)
	n.mu.Unlock()
	for _, times := range s.Reasons {
		s.Closed += times
	}
	return s
}

// counters are the totals.
type counters struct {
	handedOut, reused        atomic.Uint64
	opened, failed, detached atomic.Uint64
	waits, waitTime          atomic.Uint64

	mu      sync.Mutex // guards reasons
	reasons map[pool.Reason]uint64
}

func (n *counters) waited(d time.Duration) {
	if d > 0 {
		n.waits.Add(1)
		n.waitTime.Add(uint64(d))
	}
}

func (n *counters) closed(why pool.Reason) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.reasons == nil {
		n.reasons = make(map[pool.Reason]uint64)
	}
	n.reasons[why]++
}
