package pool

import (
	"container/heap"
	"math"
	"time"
)

// SetIdleLimit says how long c may be idle from now on. After offer, counted from
// the moment in which it fell idle, it is leased no more, and after keep it is
// closed (IdleTimeout); Config.IdleTimeout limits both. With keep not above offer
// it is closed instead of being offered no more. A negative figure, and an offer
// of zero, stand for Config.IdleTimeout.
//
// The peer's word sets offer. A keep above it is for finding out whether the peer
// is more patient than that: c then stays open without being used until the peer
// has closed it, or its place is needed. It counts as open and idle meanwhile.
//
// Limits may be set at any time and any number of times, before Dial has returned
// too. Once c is not offered any more it stays so.
func (c *Conn[K, C]) SetIdleLimit(offer, keep time.Duration) {
	p := c.origin.pool
	p.mu.Lock()
	defer p.unlock()
	if c.phase == ended {
		return
	}
	offer = limit(offer, p.cfg.IdleTimeout, p.cfg.IdleTimeout)
	keep = limit(keep, offer, p.cfg.IdleTimeout)
	c.offered = min(offer, p.cfg.IdleTimeout)
	c.kept = min(max(offer, keep), p.cfg.IdleTimeout)
	if c.phase != open || c.retired {
		return
	}
	if now := p.now(); p.usableLocked(c, now) || c.parked {
		p.dueLocked(c, now)
	}
}

// SetLeasesLeft says how many more leases c gives before it is retired
// (MaxLeases), beside those that are out. Zero retires it now. Negative: it gives
// as many as anybody wants.
func (c *Conn[K, C]) SetLeasesLeft(n int) {
	p := c.origin.pool
	p.mu.Lock()
	if c.left = n; n < 0 {
		c.left = math.MaxInt
	}
	if n == 0 {
		p.retireLocked(c, MaxLeases)
	}
	p.unlock()
}

// usableLocked reports whether c, which is open, may be leased. It sees to it that
// one whose time is up is closed, retired or at least offered no more.
func (p *Pool[K, C]) usableLocked(c *Conn[K, C], now instant) bool {
	if p.idle.has(c) {
		if lay := now.since(c.idleSince); lay >= c.kept {
			p.retireLocked(c, IdleTimeout)
		} else if lay >= c.offered && !c.parked {
			p.parkLocked(c)
		}
	}
	if c.agedAt(now) {
		p.retireLocked(c, MaxAge)
	}
	return !c.retired && !c.parked
}

// agedAt reports whether c is too old at now.
func (c *Conn[K, C]) agedAt(now instant) bool { return now.since(c.born) >= c.maxAge }

// parkLocked has c, which is idle, not offered any more.
func (p *Pool[K, C]) parkLocked(c *Conn[K, C]) {
	c.parked = true
	c.origin.parked++
	c.origin.free.drop(c)
	c.leaveLocked(IdleTimeout)
	p.kickLocked(c.origin)
}

// parkedLocked returns one of o's connections that are not offered any more.
func (o *origin[K, C]) parkedLocked() *Conn[K, C] {
	for c := o.idle.first; c != nil; c = o.idle.after(c) {
		if c.parked {
			return c
		}
	}
	panic("BUG: pool: a dial is wanted beyond Config.MaxPerKey")
}

// lookLocked looks at the connections whose time has come.
func (p *Pool[K, C]) lookLocked(now instant) {
	for len(p.dues) > 0 {
		c := p.dues[0]
		early := c.due > now.mono && !c.agedAt(now)
		if early {
			return
		}
		if !p.usableLocked(c, now) && !c.parked {
			continue
		}
		if lead := c.lead(); lead > 0 && now.since(c.born) >= c.maxAge-lead {
			c.leaveLocked(MaxAge) // its replacement is dialed, and it serves meanwhile
		}
		p.dueLocked(c, now)
	}
}

// dueLocked notes when c has to be looked at, if it has limits of its own. What
// holds for all, Config.IdleTimeout, is seen from the order of the idle ones. A
// connection in use cannot be idle for too long before that time has passed once
// more, so this is not done anew with each lease: it is looked at too early
// sometimes, once in that time.
func (p *Pool[K, C]) dueLocked(c *Conn[K, C], now instant) {
	at := after(c.born.mono, c.maxAge-c.lead())
	patience := c.offered
	if c.parked {
		patience = c.kept
	}
	if patience < p.cfg.IdleTimeout {
		since := now.mono
		if p.idle.has(c) {
			since = c.idleSince.mono
		}
		at = min(at, after(since, patience))
	}
	switch {
	case at == maxDuration:
		p.dropDueLocked(c)
	case c.dueIndex < 0:
		c.due = at
		heap.Push(&p.dues, c)
	default:
		c.due = at
		heap.Fix(&p.dues, c.dueIndex)
	}
}

func (p *Pool[K, C]) dropDueLocked(c *Conn[K, C]) {
	if c.dueIndex >= 0 {
		heap.Remove(&p.dues, c.dueIndex)
	}
}

// after is at plus d, without overflow.
func after(at, d time.Duration) time.Duration {
	if d > maxDuration-at {
		return maxDuration
	}
	return at + d
}

// dues is a heap of connections, those that are to be looked at first at the top.
type dues[K comparable, C any] []*Conn[K, C]

func (d dues[K, C]) Len() int           { return len(d) }
func (d dues[K, C]) Less(i, j int) bool { return d[i].due < d[j].due }
func (d dues[K, C]) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].dueIndex, d[j].dueIndex = i, j
}

func (d *dues[K, C]) Push(x any) {
	c := x.(*Conn[K, C])
	c.dueIndex = len(*d)
	*d = append(*d, c)
}

func (d *dues[K, C]) Pop() any {
	last := len(*d) - 1
	c := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	c.dueIndex = -1
	return c
}
