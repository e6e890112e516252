package pool

import (
	"container/heap"
	"math"
	"time"
)

// sweepGap is the least time from one sweep to the next. Connections that expire
// one by one would otherwise wake the pool one by one.
const sweepGap = 100 * time.Millisecond

const maxDuration = time.Duration(math.MaxInt64)

// overLocked reports whether c has been idle for too long or is too old, and
// which of them.
func (p *Pool[K, C]) overLocked(c *Conn[K, C], now instant) (Reason, bool) {
	switch {
	case p.idle.has(c) && now.since(c.idleSince) >= p.cfg.IdleTimeout:
		return IdleTimeout, true
	case c.agedLocked(now):
		return MaxAge, true
	}
	return "", false
}

// agedLocked reports whether c is too old.
func (c *Conn[K, C]) agedLocked(now instant) bool {
	return c.ageIndex >= 0 && now.since(c.born) >= c.maxAge
}

// sweep closes the connections whose time is up. It is the timer's function.
func (p *Pool[K, C]) sweep() {
	p.mu.Lock()
	now := p.now()
	p.armed = false
	p.swept = now.mono
	for c := p.idle.last(); c != nil && now.since(c.idleSince) >= p.cfg.IdleTimeout; c = p.idle.last() {
		p.closeLocked(c, IdleTimeout)
	}
	for len(p.ages) > 0 && p.ages[0].agedLocked(now) {
		p.retireLocked(p.ages[0], MaxAge)
	}
	p.shrinkLocked(now)
	// The timer's goroutine holds no lock of anybody's.
	p.unlockAndClose()
}

// armLocked sees that the timer runs if, and only if, something idle can expire.
// A timer that is set for too early is left alone: at worst it finds nothing.
func (p *Pool[K, C]) armLocked() {
	if p.idle.n == 0 {
		if p.armed {
			p.timer.Stop()
			p.armed = false
		}
		return
	}
	at := p.expiryLocked()
	if at == maxDuration {
		return
	}
	at = max(at, p.swept+sweepGap)
	if p.armed && p.wake <= at {
		return
	}
	p.armed, p.wake = true, at
	if d := at - p.now().mono; p.timer == nil {
		p.timer = time.AfterFunc(d, p.sweep)
	} else {
		p.timer.Reset(d)
	}
}

// expiryLocked is when the next connection expires or may be found to be surplus,
// on the monotonic clock. The
// least recently used of the idle ones is the first whose idle time is up. The
// oldest may be in use; then it is retired on that occasion.
func (p *Pool[K, C]) expiryLocked() time.Duration {
	at := maxDuration
	if since := p.idle.last().idleSince.mono; p.cfg.IdleTimeout < maxDuration-since {
		at = since + p.cfg.IdleTimeout
	}
	if len(p.ages) > 0 {
		at = min(at, p.ages[0].ageEnd())
	}
	if p.swollen.n > 0 {
		at = min(at, p.tick)
	}
	return at
}

// ages is a heap of connections, those that reach their age first at the top.
type ages[K comparable, C any] []*Conn[K, C]

func (a ages[K, C]) Len() int           { return len(a) }
func (a ages[K, C]) Less(i, j int) bool { return a[i].ageEnd() < a[j].ageEnd() }
func (a ages[K, C]) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].ageIndex, a[j].ageIndex = i, j
}

func (a *ages[K, C]) Push(x any) {
	c := x.(*Conn[K, C])
	c.ageIndex = len(*a)
	*a = append(*a, c)
}

func (a *ages[K, C]) Pop() any {
	last := len(*a) - 1
	c := (*a)[last]
	(*a)[last] = nil
	*a = (*a)[:last]
	c.ageIndex = -1
	return c
}

// ageEnd is when c reaches its age, on the monotonic clock.
func (c *Conn[K, C]) ageEnd() time.Duration {
	if c.maxAge > maxDuration-c.born.mono {
		return maxDuration
	}
	return c.born.mono + c.maxAge
}

func (p *Pool[K, C]) pushAgeLocked(c *Conn[K, C]) { heap.Push(&p.ages, c) }

func (p *Pool[K, C]) dropAgeLocked(c *Conn[K, C]) {
	if c.ageIndex >= 0 {
		heap.Remove(&p.ages, c.ageIndex)
	}
}
