package model

import (
	"math"
	"time"
)

// sweepGap is the least time from one sweep to the next.
const sweepGap = 100 * time.Millisecond

// sweeper is package pool's timer, which runs while something is idle.
type sweeper struct {
	armed bool
	wake  time.Duration
	swept time.Duration // when it rang last
	once  bool          // it did
}

// sweepUntil has the timer ring at the moments up to the one given.
func (p *pool) sweepUntil(to time.Duration) {
	for s := &p.sweeper; s.armed && s.wake <= to; p.arm() {
		p.now = max(p.now, s.wake)
		s.armed, s.swept, s.once = false, p.now, true
		p.expire()
		p.shrink()
	}
}

// settle ends an event.
func (p *pool) settle() {
	if p.policy.weighs() {
		p.arm()
	}
}

// arm sees that the timer runs if something idle can expire. One that is set for
// too early is left alone.
func (p *pool) arm() {
	s := &p.sweeper
	if p.idle.n+p.idle2.n == 0 {
		s.armed = false
		return
	}
	at := p.expiry()
	if s.once {
		at = max(at, s.swept+sweepGap)
	}
	if s.armed && s.wake <= at {
		return
	}
	s.armed, s.wake = at < math.MaxInt64, at
}

// expiry is when the next connection expires or may be found to be surplus.
func (p *pool) expiry() time.Duration {
	at := time.Duration(math.MaxInt64)
	for _, l := range []*idleList{&p.idle, &p.idle2} {
		if l.oldest != nil && p.policy.IdleTimeout > 0 {
			at = min(at, l.oldest.idle+p.policy.IdleTimeout)
		}
	}
	if len(p.swollen) > 0 {
		at = min(at, p.tick)
	}
	return at
}
