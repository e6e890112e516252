package pool

import (
	"context"
	"slices"
	"testing/synctest"
)

// mWarm is a Warm under way.
type mWarm struct {
	key  string
	n    int
	done chan error // gets what Warm returned
}

func (m *model) stepWarm(s *script) {
	w := &mWarm{m.keys()[s.next(3)], s.next(5), make(chan error, 1)}
	if m.state == stateRunning {
		m.closeIdle = false
	}
	go func() { w.done <- m.r.pool.Warm(context.Background(), w.key, w.n) }() // ends with the pool at the latest
	m.warms = append(m.warms, w)
	m.observe(nil, nil)
}

// checkSpare checks that c's dial, which nobody waits for, was called for.
func (m *model) checkSpare(c *mConn) {
	m.t.Helper()
	want := m.cfg.MinPerKey
	for _, w := range m.warms {
		if w.key == c.key {
			want = max(want, w.n)
		}
	}
	stay := m.of(c.key, func(c *mConn) bool { return isOpen(c) && !c.retired && !m.aged(c) && !c.pc.leaving })
	coming := m.of(c.key, isComing)
	if want == 0 || stay+coming > max(want, len(m.waiting(c.key))+stay) {
		m.t.Fatalf("a dial for %q that nobody waits for was started beside %d open and %d coming, want %d", c.key, stay, coming-1, want)
	}
}

// takeWarms takes in what Warms returned, and checks that none waits in vain.
func (m *model) takeWarms() {
	m.t.Helper()
	synctest.Wait()
	for _, w := range slices.Clone(m.warms) {
		select {
		case <-w.done:
			m.warms = slices.DeleteFunc(m.warms, func(other *mWarm) bool { return other == w })
			continue
		default:
		}
		open := m.of(w.key, func(c *mConn) bool { return isOpen(c) && !c.retired && !c.parked && !m.aged(c) && !c.pc.leaving })
		held := m.of("", isDialing) > 0 || m.of(w.key, isSettling) > 0 || len(m.waiting(w.key)) > 0
		if open >= w.n || m.state != stateRunning || !held {
			m.t.Fatalf("Warm of %d for %q waits with %d open", w.n, w.key, open)
		}
	}
}

// warming reports whether a Warm for key waits.
func (m *model) warming(key string) bool {
	return slices.ContainsFunc(m.warms, func(w *mWarm) bool { return w.key == key })
}
