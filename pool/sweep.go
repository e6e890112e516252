package pool

import (
	"math"
	"time"
)

// sweepGap is the least time from one sweep to the next. Connections that expire
// one by one would otherwise wake the pool one by one.
const sweepGap = 100 * time.Millisecond

const maxDuration = time.Duration(math.MaxInt64)

// sweep closes the connections whose time is up. It is the timer's function.
func (p *Pool[K, C]) sweep() {
	p.mu.Lock()
	now := p.now()
	p.armed = false
	p.swept = now.mono
	for c := p.idle.last(); c != nil && now.since(c.idleSince) >= p.cfg.IdleTimeout; c = p.idle.last() {
		p.closeLocked(c, IdleTimeout)
	}
	p.lookLocked(now)
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
	if len(p.dues) > 0 {
		at = min(at, p.dues[0].due)
	}
	if p.swollen.n > 0 {
		at = min(at, p.tick)
	}
	return at
}
