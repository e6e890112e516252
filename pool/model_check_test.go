package pool

import (
	"slices"
	"time"
)

// checkDials checks that the dials which this step started were called for, and
// by whom.
func (m *model) checkDials() {
	m.t.Helper()
	for _, c := range m.conns {
		if !c.dialing() || c.started != m.step {
			continue
		}
		waiting := m.waiting(c.key)
		if c.cause == 0 {
			m.checkSpare(c)
			continue
		}
		gaveUp := m.gaveUp[c.cause] == m.step // after the dial was started
		if !gaveUp && !slices.ContainsFunc(waiting, func(g *mGet) bool { return g.number == c.cause }) {
			m.t.Fatalf("a dial for %q was started for Get %d, which does not wait", c.key, c.cause)
		}
		for _, g := range waiting {
			if g.number < c.cause && !m.hasDial(g) {
				m.t.Fatalf("a dial for %q was started for Get %d before Get %d had one", c.key, c.cause, g.number)
			}
		}
		// Those that nobody waits for are started after the others.
		before := func(c *mConn) bool { return isComing(c) && (c.cause != 0 || c.started != m.step) }
		if (m.of(c.key, before)-1)*max(1, m.slotsSeen[c.key]) >= len(waiting) && !gaveUp {
			m.t.Fatalf("a dial for %q was started although the others would do for %d", c.key, len(waiting))
		}
		if m.of(c.key, func(c *mConn) bool { return isSettling(c) && !m.aged(c) }) > 0 {
			m.t.Fatalf("a dial for %q was started beside a settling connection", c.key)
		}
	}
}

func (m *model) hasDial(g *mGet) bool {
	return m.of(g.key, func(c *mConn) bool { return c.dialing() && c.cause == g.number }) > 0
}

func (m *model) checkStats() {
	m.t.Helper()
	all := Stats{
		Open:    m.of("", isOpen),
		Idle:    m.of("", isIdle),
		Leases:  len(m.leases),
		Dialing: m.of("", isDialing),
		Waiting: len(m.gets),
	}
	if got := m.r.pool.Stats(); got != all {
		m.t.Fatalf("stats: got %+v, want %+v", got, all)
	}
	var sum Stats
	m.r.pool.Each(func(key string, s Stats) {
		if s == (Stats{}) {
			m.t.Fatalf("key %q is known and has nothing", key)
		}
		sum.Open += s.Open
		sum.Idle += s.Idle
		sum.Leases += s.Leases
		sum.Dialing += s.Dialing
		sum.Waiting += s.Waiting
	})
	if sum != all {
		m.t.Fatalf("the stats of all keys add up to %+v, want %+v", sum, all)
	}
	m.r.pool.mu.Lock()
	met, known := m.r.pool.met.n, len(m.r.pool.origins)
	m.r.pool.mu.Unlock()
	if met != known {
		m.t.Fatalf("All would visit %d keys, want all %d that are known", met, known)
	}
}

func (m *model) checkLimits() {
	m.t.Helper()
	if n := m.of("", isOpen) + m.of("", isDialing); n > m.cfg.MaxTotal {
		m.t.Fatalf("open or dialing: %d, want at most %d", n, m.cfg.MaxTotal)
	}
	if n := m.of("", isDialing); n > m.cfg.MaxDials {
		m.t.Fatalf("dials in all: %d, want at most %d", n, m.cfg.MaxDials)
	}
	if n := m.of("", isIdle); n > m.cfg.MaxIdle {
		m.t.Fatalf("idle: %d, want at most %d", n, m.cfg.MaxIdle)
	}
	for _, key := range m.keys() {
		if n := m.of(key, isOpen) + m.of(key, isDialing); n > m.cfg.MaxPerKey {
			m.t.Fatalf("key %q: open or dialing: %d, want at most %d", key, n, m.cfg.MaxPerKey)
		}
		if n := m.of(key, isIdle); n > m.cfg.MaxIdlePerKey {
			m.t.Fatalf("key %q: idle: %d, want at most %d", key, n, m.cfg.MaxIdlePerKey)
		}
		if n := m.of(key, isDialing); n > m.dialLimit(key) {
			m.t.Fatalf("key %q: dials: %d, want at most %d", key, n, m.dialLimit(key))
		}
	}
	for _, c := range m.conns {
		if !c.idle {
			continue
		}
		late := time.Since(c.idleSince)-sweepGap > c.kept ||
			m.cfg.MaxAge < maxDuration && time.Since(c.born)-sweepGap > c.pc.maxAge
		if late || m.closeIdle || m.state != stateRunning {
			m.t.Fatalf("%v is idle, want it closed: %+v", c.wire, c)
		}
	}
}

func (m *model) dialLimit(key string) int {
	if m.cfg.DialAlone(key) && m.slotsSeen[key] == 0 && !m.dialFailed[key] {
		return 1
	}
	return m.cfg.MaxDialsPerKey
}

// checkProgress checks that nobody waits for what could be had.
func (m *model) checkProgress() {
	m.t.Helper()
	for _, key := range m.keys() {
		waiting := len(m.waiting(key))
		if waiting == 0 {
			m.pace(key).held = time.Time{}
			continue
		}
		if m.of(key, func(c *mConn) bool { return m.free(c) > 0 }) > 0 {
			m.t.Fatalf("key %q: %d wait although a slot is free", key, waiting)
		}
		if !m.mayDial(key, waiting) {
			m.pace(key).held = time.Time{}
		} else if !m.mayHold(key) {
			m.t.Fatalf("key %q: %d wait although a dial could start (slots seen: %d)", key, waiting, m.slotsSeen[key])
		}
	}
}

func (m *model) mayDial(key string, waiting int) bool {
	slots := max(1, m.slotsSeen[key])
	room := m.of("", isOpen)+m.of("", isDialing) < m.cfg.MaxTotal || m.of("", isIdle) > 0
	return m.of(key, isSettling) == 0 &&
		m.of(key, isComing)*slots < waiting &&
		m.of(key, isDialing) < m.dialLimit(key) &&
		m.of("", isDialing) < m.cfg.MaxDials &&
		m.of(key, isOpen)+m.of(key, isDialing)-m.of(key, func(c *mConn) bool { return c.parked }) < m.cfg.MaxPerKey &&
		room
}
