package pool

import (
	"time"

	"github.com/stayopen-go/stayopen/internal/growth"
)

// mDemand is what can be known of how many connections a key needs.
type mDemand struct {
	uses   []mUse
	needed time.Time // when it last had more in use than it keeps anyway
}

// mUse is how many connections were in use from one moment on.
type mUse struct {
	from time.Time
	n    int
}

func isInUse(c *mConn) bool { return !c.dialing() && !c.idle }

// takeUse notes how many connections of each key are in use.
func (m *model) takeUse() {
	for _, key := range m.keys() {
		d := m.demands[key]
		if d == nil {
			d = new(mDemand)
			m.demands[key] = d
		}
		n := m.of(key, isInUse)
		d.uses = append(d.uses, mUse{time.Now(), n})
		if n > growth.KeptAnyway {
			d.needed = time.Now()
		}
	}
}

// mayBeSurplus reports whether c, idle and closed, was one too many: its key has
// kept as many as it had in use at once in the last two windows.
func (m *model) mayBeSurplus(c *mConn) bool {
	keep := growth.KeptAnyway
	uses := m.demands[c.key].uses
	for i, u := range uses {
		// What was in use until a moment counts for that moment.
		until := time.Now()
		if i+1 < len(uses) {
			until = uses[i+1].from
		}
		if time.Since(until) <= (growth.Windows-1)*m.cfg.IdleWindow {
			keep = max(keep, u.n)
		}
	}
	// Others may have come to their time later in the same step.
	stayed := func(other *mConn) bool {
		return isOpen(other) && (len(other.wire.closed) == 0 || other.wire.closed[0] != Surplus)
	}
	left := m.of(c.key, stayed)
	for _, other := range m.past {
		if other.key == c.key && other.forgotten == m.step && !other.dialing() && stayed(other) {
			left++
		}
	}
	older := m.of(c.key, func(other *mConn) bool {
		return other.idle && other.idleOrder < c.idleOrder && len(other.wire.closed) == 0
	})
	return left >= keep && older == 0
}

// checkDemand checks that what nobody has needed for long is gone.
func (m *model) checkDemand() {
	m.t.Helper()
	if m.cfg.IdleWindow == maxDuration {
		return
	}
	for _, key := range m.keys() {
		calm := true
		for _, c := range m.conns {
			if c.key == key && time.Since(c.born) < 7*m.cfg.IdleWindow {
				calm = false
			}
		}
		open, used := m.of(key, isOpen), m.demands[key].needed
		if calm && time.Since(used) >= 7*m.cfg.IdleWindow && m.of(key, isIdle) > 0 && open > max(growth.KeptAnyway, m.of(key, isInUse)) {
			m.t.Fatalf("key %q: %d are open, want them closed: since %v not more than %d were in use", key, open, used, growth.KeptAnyway)
		}
	}
}
