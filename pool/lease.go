package pool

import "time"

// Lease is the right to run one exchange on a connection. It ends exactly once,
// by Release, Retire, Refuse or Detach: calling a second one of them, or one of
// them twice, has no effect. Its methods may be called from any goroutine.
type Lease[K comparable, C any] struct {
	conn   *Conn[K, C]
	lay    time.Duration
	waited time.Duration
	idle   bool
	last   bool
	fresh  bool
	ended  bool // guarded by the pool's mutex
}

// Value returns the connection that Dial returned. It stays the same after the
// lease has ended, when it may belong to somebody else.
func (l *Lease[K, C]) Value() C { return l.conn.value }

// Conn returns the pool's handle of the connection.
func (l *Lease[K, C]) Conn() *Conn[K, C] { return l.conn }

// Fresh reports whether the connection was dialed and handed straight to this
// Get: it never lay idle and no lease on it came before. Of the leases on a
// connection at most one is fresh.
func (l *Lease[K, C]) Fresh() bool { return l.fresh }

// Idle returns how long the connection had lain idle when it was taken, by the
// monotonic or the wall clock, whichever counted more. It returns false if the
// connection was not idle: it is fresh, it was handed over by the lease before,
// or it has other leases.
func (l *Lease[K, C]) Idle() (time.Duration, bool) { return l.lay, l.idle }

// Waited returns how long the Get had to wait in line, 0 if it was served at once.
func (l *Lease[K, C]) Waited() time.Duration { return l.waited }

// Last reports whether the connection takes no lease after this one, for it has
// had as many as it may or was retired: whoever holds it may tell the peer.
func (l *Lease[K, C]) Last() bool { return l.last }

// Release ends the lease. Its slot is free for the next.
func (l *Lease[K, C]) Release() {
	p := l.conn.origin.pool
	now := p.now() // takes as long as all that is done under the mutex
	p.mu.Lock()
	p.endLeaseLocked(l, now)
	p.unlock()
}

// Retire ends the lease, and lets the connection take no new one. The connection
// is closed with why when its last lease has ended. If it was retired before,
// the reason given then stays.
func (l *Lease[K, C]) Retire(why Reason) {
	p := l.conn.origin.pool
	p.mu.Lock()
	if !l.ended {
		p.retireLocked(l.conn, why)
		p.endLeaseLocked(l, p.now())
	}
	p.unlock()
}

// Refuse ends the lease because the connection would not take the exchange just
// now: it offers no slot until [Conn.SetSlots] is called. It no longer counts as
// settling, since nobody can wait for a connection that has just said no.
func (l *Lease[K, C]) Refuse() {
	p := l.conn.origin.pool
	p.mu.Lock()
	if !l.ended {
		l.conn.slots = 0
		l.conn.settledLocked()
		p.endLeaseLocked(l, p.now())
	}
	p.unlock()
}

// Detach ends the lease and takes the connection out of the pool: it is counted
// no more and never closed by the pool, so that it belongs to the caller, who
// upgraded it. Other leases on it end without effect. After Pool.Close it is too
// late: the connection is closed.
func (l *Lease[K, C]) Detach() {
	p := l.conn.origin.pool
	p.mu.Lock()
	if !l.ended {
		l.ended = true
		if l.conn.phase == open {
			p.removeLocked(l.conn, Detached)
		}
	}
	p.unlock()
}

// leaseLocked takes a slot of c.
func (p *Pool[K, C]) leaseLocked(c *Conn[K, C], now instant, fresh bool) *Lease[K, C] {
	l := &Lease[K, C]{conn: c, fresh: fresh}
	o := c.origin
	if p.idle.has(c) {
		l.lay, l.idle = now.since(c.idleSince), true
		p.idle.remove(c)
		o.idle.remove(c)
		o.demand.Note(o.inUseLocked())
	}
	o.pace.Count(now.mono, o.leases)
	p.totals.Leases++
	if c.given {
		p.totals.Reused++
	}
	c.given = true
	c.taken, o.used = now.mono, now.mono
	c.leased++
	o.leases++
	p.leases++
	if c.left--; c.left <= 0 {
		p.retireLocked(c, MaxLeases)
	}
	l.last = c.retired
	o.free.leased(c)
	return l
}

// endLeaseLocked ends l, if that has not been done, and sees what becomes of its
// slot.
func (p *Pool[K, C]) endLeaseLocked(l *Lease[K, C], now instant) {
	c := l.conn
	if l.ended {
		return
	}
	l.ended = true
	if c.phase == ended {
		return
	}
	o := c.origin
	o.pace.Count(now.mono, o.leases)
	c.leased--
	o.leases--
	p.leases--
	if c.agedAt(now) {
		p.retireLocked(c, MaxAge)
	}
	if c.retired {
		if c.leased == 0 && c.phase == open {
			p.closeLocked(c, c.why)
		}
		return
	}
	if c.leased == 0 && p.owedLocked(o) {
		p.closeLocked(c, Evicted)
		return
	}
	if c.leased < c.slots {
		o.pace.SlotFreed(now.mono-c.taken, o.open)
	}
	// It is the most recently used.
	o.free.drop(c)
	p.serveLocked(c, now)
	p.placeLocked(c, now)
}
