package pool

import (
	"time"

	"github.com/stayopen-go/stayopen/internal/growth"
)

// mPace is what can be known of a key's pace.
type mPace struct {
	dial  time.Duration // the longest that a dial took until it could be leased
	freed bool          // a slot was freed
	held  time.Time     // since when waiters have had no dial although one may start; zero: not now
}

// pace returns what is known of key's pace.
func (m *model) pace(key string) *mPace {
	if m.paces[key] == nil {
		m.paces[key] = new(mPace)
	}
	return m.paces[key]
}

// leasable notes that c, dialed or settled just now, can be leased.
func (m *model) leasable(c *mConn) {
	p := m.pace(c.key)
	p.dial = max(p.dial, time.Since(c.dialed))
}

// mayHold reports whether the waiters of key, for whom a dial could start, may
// still be left to wait for what is in use.
func (m *model) mayHold(key string) bool {
	p := m.pace(key)
	if m.cfg.Eager || p.dial < growth.LeastDial || !p.freed {
		return false
	}
	if p.held.IsZero() {
		p.held = time.Now()
	}
	return time.Since(p.held) <= 4*p.dial+growth.LeastAlarm
}
