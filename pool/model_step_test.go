package pool

import (
	"context"
	"errors"
	"slices"
	"time"
)

// steps are what can happen. What is frequent in life is here more than once.
var steps = []func(m *model, s *script){
	(*model).stepGet, (*model).stepGet, (*model).stepGet, (*model).stepGet,
	(*model).stepDialed, (*model).stepDialed, (*model).stepDialed,
	(*model).stepRelease, (*model).stepRelease, (*model).stepRelease,
	(*model).stepFail,
	(*model).stepRetire,
	(*model).stepRefuse,
	(*model).stepDetach,
	(*model).stepSetSlots, (*model).stepSetSlots,
	(*model).stepConnRetire,
	(*model).stepSetIdleLimit,
	(*model).stepSetLeasesLeft,
	(*model).stepGone,
	(*model).stepWarm,
	(*model).stepCancel,
	(*model).stepAdvance, (*model).stepAdvance,
	(*model).stepBurst,
	(*model).stepEndAgain,
	(*model).stepCloseIdle,
	(*model).stepEnd,
}

// one picks one of all, false if there is none.
func one[T any](s *script, all []T) (x T, ok bool) {
	n := s.next(256)
	if len(all) == 0 {
		return x, false
	}
	return all[n%len(all)], true
}

func (m *model) stepGet(s *script) {
	m.get(m.keys()[s.next(3)], []time.Duration{0, 0, 0, 0, 10 * time.Millisecond, 2 * time.Second}[s.next(6)])
}

// stepBurst lets several Gets for a key succeed and end.
func (m *model) stepBurst(s *script) {
	key := m.keys()[s.next(3)]
	for range 3 + s.next(6) {
		m.get(key, 0)
	}
	for range 20 {
		for _, c := range m.dials() {
			if c.key == key && slices.Contains(m.conns, c) {
				m.dialed(c, 1)
			}
		}
		for _, l := range slices.Clone(m.leases) {
			if l.conn.key == key && slices.Contains(m.leases, l) {
				m.release(l)
			}
		}
	}
}

// get has a Get for key, with a deadline if there is a limit to its time.
func (m *model) get(key string, limit time.Duration) {
	want := m.next(key)
	m.lastGet++
	full := m.full(key)
	g := &mGet{key: key, number: m.lastGet, since: time.Now()}
	ctx := context.WithValue(context.Background(), ctxKey{}, m.lastGet)
	if limit > 0 {
		g.deadline = g.since.Add(limit)
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, g.deadline)
		m.t.Cleanup(cancel)
	}
	g.pending = m.r.getUntil(ctx, key)
	m.gets = append(m.gets, g)
	if m.state != stateRunning {
		m.observe([]*mGet{g}, ErrClosed)
		return
	}
	m.closeIdle = false
	var err *QueueFullError
	switch {
	case want == nil && full:
		if g.waits() || !errors.As(g.err, &err) {
			m.t.Fatalf("Get %d for %q: got %v (waits %v), want the error of a full queue", g.number, key, g.err, g.waits())
		}
		m.observe([]*mGet{g}, g.err)
		return
	case want == nil && !g.waits():
		m.t.Fatalf("Get %d for %q: got %v, %v, want it to wait", g.number, key, g.lease, g.err)
	case want != nil && (g.waits() || g.lease == nil || g.lease.Conn() != want.pc):
		m.t.Fatalf("Get %d for %q: got %v, %v, want %v at once", g.number, key, g.lease, g.err, want.wire)
	}
	m.observe(nil, nil)
}

// full reports whether a Get for key may not wait.
func (m *model) full(key string) bool {
	return len(m.gets) >= m.cfg.MaxWaiters || len(m.waiting(key)) >= m.cfg.MaxWaitersPerKey
}

func (m *model) dials() (all []*mConn) {
	for _, c := range m.conns {
		if c.dialing() {
			all = append(all, c)
		}
	}
	return all
}

func (m *model) stepDialed(s *script) {
	c, ok := one(s, m.dials())
	slots := []int{1, 1, 0, 3}[s.next(4)]
	if ok {
		m.dialed(c, slots)
	}
}

func (m *model) dialed(c *mConn, slots int) {
	c.wire = c.call.succeed(slots)
	c.born, c.freeOrder = time.Now(), m.step
	m.failures[c.key] = 0
	switch {
	case c.slotsSet:
	case slots == 0:
		c.slots, c.settling = 1, true
	default:
		c.slots, m.slotsSeen[c.key] = slots, slots
	}
	if !c.settling {
		m.leasable(c)
	}
	m.observe(nil, nil)
}

func (m *model) stepFail(s *script) {
	c, ok := one(s, m.dials())
	timeout := s.next(2) == 1
	if ok {
		m.failed(c, timeoutError{timeout})
	}
}

func (m *model) failed(c *mConn, err timeoutError) {
	var failing []*mGet
	for _, g := range m.waiting(c.key) {
		if g.number <= c.began && c.cause != 0 {
			failing = append(failing, g)
		}
	}
	m.dialFailed[c.key] = true
	m.failures[c.key]++
	none := m.of(c.key, isOpen) == 0
	if len(failing) > 0 && (!err.yes || !none) {
		target := failing[0]
		for _, g := range failing {
			if g.number == c.cause {
				target = g
			}
		}
		all := m.cfg.FailsAll != nil && none && m.failures[c.key] >= min(m.cfg.MaxDialsPerKey, enoughFailures)
		failing = slices.DeleteFunc(failing, func(g *mGet) bool {
			return g != target && (!all || m.hasDial(g))
		})
	}
	m.forget(c)
	c.call.fail(err)
	m.observe(failing, err)
}

// endLease is what the model knows of the end of a lease.
func (m *model) endLease(l *mLease) {
	for i, other := range m.leases {
		if other == l {
			m.leases = append(m.leases[:i:i], m.leases[i+1:]...)
			break
		}
	}
	m.ended = append(m.ended, l)
	l.conn.leases--
	l.conn.freeOrder = m.step
	if m.aged(l.conn) && !l.conn.retired {
		l.conn.retired, l.conn.why = true, MaxAge
	}
}

func (m *model) stepRelease(s *script) {
	if l, ok := one(s, m.leases); ok {
		m.release(l)
	}
}

func (m *model) release(l *mLease) {
	m.endLease(l)
	if l.conn.leases < l.conn.slots && !l.conn.retired {
		m.pace(l.conn.key).freed = true
	}
	l.Release()
	m.observe(nil, nil)
}

func (m *model) stepRetire(s *script) {
	if l, ok := one(s, m.leases); ok {
		m.retire(l.conn, "by its lease")
		m.endLease(l)
		l.Retire("by its lease")
		m.observe(nil, nil)
	}
}

func (m *model) stepRefuse(s *script) {
	if l, ok := one(s, m.leases); ok {
		l.conn.slots, l.conn.settling = 0, false
		m.endLease(l)
		l.Refuse()
		m.observe(nil, nil)
	}
}

func (m *model) stepDetach(s *script) {
	if l, ok := one(s, m.leases); ok {
		l.conn.gone = true
		m.forget(l.conn)
		l.Detach()
		m.observe(nil, nil)
	}
}

// stepEndAgain ends a lease that has ended: nothing may come of it.
func (m *model) stepEndAgain(s *script) {
	l, ok := one(s, m.ended)
	how := s.next(4)
	if !ok {
		return
	}
	switch how {
	case 0:
		l.Release()
	case 1:
		l.Retire("too late")
	case 2:
		l.Refuse()
	case 3:
		l.Detach()
	}
	m.observe(nil, nil)
}

func (m *model) retire(c *mConn, why Reason) {
	if !c.retired {
		c.retired, c.why = true, why
	}
}

func (m *model) stepSetSlots(s *script) {
	c, ok := one(s, m.conns)
	n := s.next(5)
	if !ok {
		return
	}
	if m.aged(c) && !c.dialing() {
		m.retire(c, MaxAge)
	}
	m.setSlots(c, n)
	c.pc.SetSlots(n)
	m.observe(nil, nil)
}

func (m *model) setSlots(c *mConn, n int) {
	before := m.free(c)
	if c.settling {
		m.leasable(c)
	}
	c.slots, c.slotsSet, c.settling = n, true, false
	if n > 0 {
		m.slotsSeen[c.key] = n
	}
	if before == 0 {
		c.freeOrder = m.step
	}
}

func (m *model) stepConnRetire(s *script) {
	if c, ok := one(s, m.conns); ok {
		m.retire(c, "by its handle")
		c.pc.Retire("by its handle")
		m.observe(nil, nil)
	}
}

func (m *model) stepGone(s *script) {
	if c, ok := one(s, m.conns); ok {
		c.gone = true
		if !c.dialing() {
			m.forget(c)
		}
		c.pc.Gone()
		m.observe(nil, nil)
	}
}

func (m *model) stepCancel(s *script) {
	if g, ok := one(s, m.gets); ok {
		cause := errors.New("the caller left")
		g.leave(cause)
		m.observe([]*mGet{g}, cause)
	}
}

func (m *model) stepAdvance(s *script) {
	pass([]time.Duration{time.Millisecond, 300 * time.Millisecond, time.Second, 8 * time.Second}[s.next(4)])
	m.observe(nil, nil)
}

func (m *model) cancelDials(key string) {
	for _, c := range m.conns {
		if c.key == key && c.dialing() {
			c.cancelled = true
		}
	}
}

// cancelUnwanted is what becomes of dials that nobody waits for in CloseIdle, and
// all the time after Shutdown.
func (m *model) cancelUnwanted() {
	for _, key := range m.keys() {
		if len(m.waiting(key)) == 0 {
			m.cancelDials(key)
		}
	}
}

func (m *model) stepCloseIdle(*script) {
	if m.state == stateRunning {
		m.closeIdle = true
		m.cancelUnwanted()
	}
	m.r.pool.CloseIdle()
	m.observe(nil, nil)
}

// stepEnd ends the pool, but not often: nothing much happens after that.
func (m *model) stepEnd(s *script) {
	switch s.next(24) {
	case 0:
		m.close()
	case 1, 2:
		m.shutdown()
	}
}

func (m *model) shutdown() {
	if m.state == stateRunning {
		m.state = stateShutdown
	}
	go m.r.pool.Shutdown(context.Background()) // ends with Close at the latest
	m.observe(nil, nil)
}

func (m *model) close() {
	m.state = stateClosed
	for _, c := range m.conns {
		c.cancelled = true
	}
	go m.r.pool.Close() // ends when all dials have
	m.observe(m.gets, ErrClosed)
}

// finish closes the pool and lets the dials end that took no notice of that.
func (m *model) finish() {
	m.close()
	for i, c := range m.dials() {
		if i%2 == 0 {
			m.dialed(c, 1)
		} else {
			m.failed(c, timeoutError{true})
		}
	}
	if got := m.r.pool.Stats(); got != (Stats{}) {
		m.t.Errorf("stats at the end: got %+v, want nothing left", got)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := m.r.pool.Shutdown(ctx); err != nil {
		m.t.Errorf("Shutdown at the end: got %v, want nil, since nothing is left", err)
	}
}
