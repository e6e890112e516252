package pool

import (
	"maps"
	"time"
)

// Totals counts what a pool has done since New. Beside [Stats], which counts what
// there is now, it obeys
//
//	Stats.Open = Opened, added up, less Closed, added up
//
// at any moment.
type Totals struct {
	Leases   uint64        // leases given
	Reused   uint64        // of these, how many were on a connection that had been leased before
	Waited   uint64        // of these, how many had to wait in line
	WaitTime time.Duration // how long they did, added up
	Refused  uint64        // Gets that failed with a *QueueFullError or a *WaitError

	Opened      map[Reason]uint64 // connections that Dial has brought, by Conn.Cause
	FailedDials uint64            // dials that failed, each counted once however often Config.Scarce had it tried
	Closed      map[Reason]uint64 // connections that the pool has no more, by why it closed them, or by Gone or Detached
}

// Reasons of connections that the pool did not close.
const (
	Gone     Reason = "gone"     // Conn.Gone was called. [Conn.Lost] brings a reason of its own
	Detached Reason = "detached" // Lease.Detach was called
)

// Totals counts over all keys. All figures are of one moment, and the maps are
// the caller's.
func (p *Pool[K, C]) Totals() Totals {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.totals
	t.Opened, t.Closed = maps.Clone(t.Opened), maps.Clone(t.Closed)
	return t
}
