package pool

import (
	"math"
	"time"
)

// outstayed reports whether c was idle for too long to be offered.
func outstayed(c *mConn) bool {
	return c.idle && (c.parked || time.Since(c.idleSince) >= c.offered)
}

// takeParked notes whether the pool offers c no more, and whether it may.
func (m *model) takeParked(c *mConn) {
	m.t.Helper()
	parked := inside(m.r, func(*Pool[string, *wire]) bool { return c.pc.parked })
	if parked && !c.parked && !outstayed(c) {
		m.t.Fatalf("%v is not offered any more, want it offered for %v: %+v", c.wire, c.offered, c)
	}
	c.parked = c.parked || parked
}

func (m *model) stepSetIdleLimit(s *script) {
	c, ok := one(s, m.conns)
	durations := []time.Duration{-1, time.Millisecond, 500 * time.Millisecond, 3 * time.Second}
	offer, keep := durations[s.next(4)], durations[s.next(4)]
	if !ok {
		return
	}
	if m.aged(c) && !c.dialing() {
		m.retire(c, MaxAge)
	}
	c.offered = min(limit(offer, maxDuration, maxDuration), m.cfg.IdleTimeout)
	c.kept = max(c.offered, min(limit(keep, maxDuration, maxDuration), m.cfg.IdleTimeout))
	c.pc.SetIdleLimit(offer, keep)
	m.observe(nil, nil)
}

func (m *model) stepSetLeasesLeft(s *script) {
	c, ok := one(s, m.conns)
	n := s.next(4) - 1
	if !ok {
		return
	}
	switch c.left = n; n {
	case -1:
		c.left = math.MaxInt
	case 0:
		m.retire(c, MaxLeases)
	}
	c.pc.SetLeasesLeft(n)
	m.observe(nil, nil)
}
