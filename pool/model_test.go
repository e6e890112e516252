package pool

import (
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// model is what a pool's user can know of it: what was asked of it, and what came
// of that. After each step it takes in what happened and checks that the rules of
// the package's documentation were kept. It has no lists and no events of its
// own: it looks at everything, each time.
type model struct {
	t    *testing.T
	r    *rig
	cfg  Config[string, *wire] // resolved
	step int

	state      state
	closeIdle  bool
	conns      []*mConn // open or being dialed
	past       []*mConn
	gets       []*mGet // waiting, oldest first
	leases     []*mLease
	ended      []*mLease
	warms      []*mWarm // that have not returned
	slotsSeen  map[string]int
	failures   map[string]int  // dials that failed since one succeeded
	dialFailed map[string]bool // since the key became known
	paces      map[string]*mPace
	demands    map[string]*mDemand
	lastGet    int
	gaveUp     map[int]int // Gets that failed by themselves → step
}

// mConn is a connection, from the start of its dial on.
type mConn struct {
	key  string
	pc   *Conn[string, *wire]
	wire *wire // nil while it is dialed

	call      *call
	began     int // lastGet when the dial started
	cause     int // number of the Get that caused it
	started   int // step
	dialed    time.Time
	cancelled bool

	slots     int
	slotsSet  bool
	settling  bool
	retired   bool
	why       Reason
	gone      bool
	leases    int
	taken     bool // had a lease
	left      int
	offered   time.Duration
	kept      time.Duration
	parked    bool
	idle      bool
	idleSince time.Time
	idleOrder int // when it fell idle, in steps
	freeOrder int // when it last had a slot freed, in steps
	forgotten int // when the pool no longer counted it, in steps
	born      time.Time
}

type mGet struct {
	*pending
	key      string
	number   int
	since    time.Time
	deadline time.Time // zero: none
}

type mLease struct {
	*Lease[string, *wire]
	conn *mConn
}

func (c *mConn) dialing() bool { return c.wire == nil }

// free is how many leases c can take.
func (m *model) free(c *mConn) int {
	if c.dialing() || c.retired || m.aged(c) || outstayed(c) {
		return 0
	}
	return max(0, c.slots-c.leases)
}

func (m *model) aged(c *mConn) bool {
	return m.cfg.MaxAge < maxDuration && time.Since(c.born) >= c.pc.maxAge
}

// of counts what f holds for among the connections of key; "" is any key.
func (m *model) of(key string, f func(c *mConn) bool) (n int) {
	for _, c := range m.conns {
		if (key == "" || c.key == key) && f(c) {
			n++
		}
	}
	return n
}

func isOpen(c *mConn) bool     { return !c.dialing() }
func isDialing(c *mConn) bool  { return c.dialing() }
func isComing(c *mConn) bool   { return c.dialing() && !c.cancelled }
func isSettling(c *mConn) bool { return !c.dialing() && c.settling && !c.retired }
func isIdle(c *mConn) bool     { return c.idle }

func (m *model) waiting(key string) (all []*mGet) {
	for _, g := range m.gets {
		if g.key == key {
			all = append(all, g)
		}
	}
	return all
}

func (m *model) keys() []string { return []string{"a", "b", "c"} }

// forget moves c, which the pool no longer counts, to the past.
func (m *model) forget(c *mConn) {
	m.conns = slices.DeleteFunc(m.conns, func(other *mConn) bool { return other == c })
	m.past = append(m.past, c)
	c.forgotten = m.step
	for _, l := range m.leases {
		if l.conn == c {
			m.ended = append(m.ended, l)
		}
	}
	m.leases = slices.DeleteFunc(m.leases, func(l *mLease) bool { return l.conn == c })
	c.idle = false
}

// observe takes in what one step brought, and checks everything. failing are the
// Gets that have to fail with want, all of them and no others.
func (m *model) observe(failing []*mGet, want error) {
	m.t.Helper()
	m.step++
	synctest.Wait()
	m.takeFailures(failing, want)
	m.takeLeases()
	m.takeIdle()
	m.takeUse()
	m.takeCloses()
	if m.state == stateShutdown {
		m.cancelUnwanted()
	}
	m.takeDials()
	m.checkDials()
	m.takeWarms()
	m.forgetKeys()
	m.checkStats()
	m.checkLimits()
	m.checkProgress()
	m.checkDemand()
}

func (m *model) takeFailures(failing []*mGet, want error) {
	m.t.Helper()
	for _, g := range failing {
		if g.waits() || g.err != want {
			m.t.Fatalf("Get %d: got %v (waits %v), want error %v", g.number, g.err, g.waits(), want)
		}
	}
	m.gets = slices.DeleteFunc(m.gets, func(g *mGet) bool { return slices.Contains(failing, g) })
	for _, g := range slices.Clone(m.gets) {
		switch {
		case g.waits() && time.Since(g.since) >= m.cfg.WaitTimeout:
			m.t.Fatalf("Get %d for %q waits, want it to fail after %v", g.number, g.key, m.cfg.WaitTimeout)
		case g.waits() || g.err == nil:
		case !m.mayFail(g):
			m.t.Fatalf("Get %d for %q failed with %v, want it to wait", g.number, g.key, g.err)
		default:
			m.gaveUp[g.number] = m.step
			m.gets = slices.DeleteFunc(m.gets, func(other *mGet) bool { return other == g })
		}
	}
}

// takeLeases takes in what Gets were served. They are looked at oldest first: a
// younger one must not be served before.
func (m *model) takeLeases() {
	m.t.Helper()
	left := make(map[string]int)
	for _, g := range slices.Clone(m.gets) {
		if g.waits() {
			left[g.key] = g.number
			continue
		}
		if older, ok := left[g.key]; ok {
			m.t.Fatalf("Get %d for %q was served before Get %d", g.number, g.key, older)
		}
		m.gets = slices.DeleteFunc(m.gets, func(other *mGet) bool { return other == g })
		m.takeLease(g)
	}
}

func (m *model) takeLease(g *mGet) {
	m.t.Helper()
	l := g.lease
	i := slices.IndexFunc(m.conns, func(c *mConn) bool { return c.pc == l.Conn() })
	if i < 0 {
		m.t.Fatalf("Get %d: got %v, which the pool had no longer", g.number, l.Value())
	}
	c := m.conns[i]
	first := !c.taken && !c.idle
	switch {
	case c.key != g.key:
		m.t.Fatalf("Get %d for %q: got a connection for %q", g.number, g.key, c.key)
	case c.wire == nil || l.Value() != c.wire:
		m.t.Fatalf("Get %d: got %v, want the connection that was dialed, %v", g.number, l.Value(), c.wire)
	case m.free(c) == 0 && !first:
		m.t.Fatalf("Get %d: got %v, which has no free slot: %+v", g.number, c.wire, c)
	case l.Fresh() != first:
		m.t.Fatalf("Get %d: Fresh is %v, want %v", g.number, l.Fresh(), first)
	}
	lay, idle := l.Idle()
	if idle != c.idle || c.idle && lay != time.Since(c.idleSince) {
		m.t.Fatalf("Get %d: Idle is %v, %v, want %v since %v", g.number, lay, idle, c.idle, c.idleSince)
	}
	c.taken, c.idle = true, false
	c.leases++
	if c.left--; c.left <= 0 {
		m.retire(c, MaxLeases)
	}
	if l.Last() != c.retired {
		m.t.Fatalf("Get %d: Last is %v, want %v", g.number, l.Last(), c.retired)
	}
	m.leases = append(m.leases, &mLease{l, c})
	if c.gone {
		m.forget(c)
	}
}

// takeIdle notes which connections were left without a lease.
func (m *model) takeIdle() {
	for _, c := range slices.Clone(m.conns) {
		m.takeParked(c)
		switch {
		case c.dialing() || c.leases > 0 || c.idle:
		case c.gone:
			m.forget(c)
		case c.retired:
		default:
			c.idle, c.idleSince, c.idleOrder = true, time.Now(), m.step
		}
	}
}

// takeCloses takes in what was closed, and whether there was a reason.
func (m *model) takeCloses() {
	m.t.Helper()
	for _, c := range slices.Clone(m.conns) {
		if c.dialing() {
			continue
		}
		m.r.mu.Lock()
		closed := slices.Clone(c.wire.closed)
		m.r.mu.Unlock()
		if len(closed) == 0 {
			if c.retired && c.leases == 0 || m.state == stateClosed {
				m.t.Fatalf("%v is not closed, want it closed: %+v", c.wire, c)
			}
			continue
		}
		if !m.mayClose(c, closed[0]) {
			m.t.Fatalf("%v was closed for %q without cause: %+v", c.wire, closed[0], c)
		}
		m.forget(c)
	}
	for _, c := range m.past {
		if c.wire == nil {
			continue
		}
		m.r.mu.Lock()
		n := len(c.wire.closed)
		m.r.mu.Unlock()
		if n > 1 || n == 1 && c.gone {
			m.t.Fatalf("%v (gone or detached: %v) was closed %d times", c.wire, c.gone, n)
		}
	}
}

func (m *model) mayClose(c *mConn, why Reason) bool {
	if m.state == stateClosed && why == Closed {
		return true
	}
	if c.leases > 0 {
		return false
	}
	switch why {
	case Closed:
		return m.state != stateRunning
	case CloseIdle:
		return m.closeIdle
	case IdleTimeout:
		return time.Since(c.idleSince) >= c.kept
	case MaxAge:
		return m.aged(c)
	case IdleLimit:
		return m.leastRecent(c, m.cfg.MaxIdle) || m.leastRecentOfKey(c)
	case Surplus:
		return m.mayBeSurplus(c)
	case Evicted:
		return m.leastRecent(c, m.cfg.MaxTotal) || m.owed(c) || m.cfg.MaxPerKey < math.MaxInt && outstayed(c)
	}
	return c.retired && why == c.why
}

// owed reports whether a Get for another key than c's waits, and longer than all
// for that.
func (m *model) owed(c *mConn) bool {
	return m.cfg.MaxTotal < math.MaxInt && len(m.gets) > 0 && m.gets[0].key != c.key ||
		slices.ContainsFunc(m.gets, func(g *mGet) bool {
			own := m.waiting(c.key)
			return g.key != c.key && (len(own) == 0 || g.number < own[0].number)
		})
}

// leastRecent reports whether there is a limit, and c has been idle for longer
// than all that are still open.
func (m *model) leastRecent(c *mConn, limit int) bool {
	return limit < math.MaxInt && m.of("", func(other *mConn) bool {
		return other.idle && other.idleOrder < c.idleOrder && len(other.wire.closed) == 0
	}) == 0
}

func (m *model) leastRecentOfKey(c *mConn) bool {
	return m.cfg.MaxIdlePerKey < math.MaxInt && m.of(c.key, func(other *mConn) bool {
		return other.idle && other.idleOrder < c.idleOrder && len(other.wire.closed) == 0
	}) == 0
}

// takeDials takes in which dials have started and which were cancelled.
func (m *model) takeDials() {
	m.t.Helper()
	calls := m.r.dials()
	for _, c := range slices.Clone(m.conns) {
		if c.dialing() && !slices.Contains(calls, c.call) {
			if !c.cancelled {
				m.t.Fatalf("the dial for %q, caused by Get %d, ended by itself", c.key, c.cause)
			}
			m.dialFailed[c.key] = true
			m.failures[c.key]++
			m.forget(c)
		}
	}
	for _, call := range calls {
		known := func(c *mConn) bool { return c.call == call }
		if slices.ContainsFunc(m.conns, known) || slices.ContainsFunc(m.past, known) {
			continue
		}
		cause, _ := call.ctx.Value(ctxKey{}).(int)
		m.conns = append(m.conns, &mConn{key: call.key, pc: call.pc, call: call, began: m.lastGet, cause: cause, started: m.step, dialed: call.began,
			left: m.cfg.MaxLeases, offered: m.cfg.IdleTimeout, kept: m.cfg.IdleTimeout})
		m.pace(call.key).held = time.Time{}
	}
	for _, c := range m.conns {
		if c.dialing() && (c.call.ctx.Err() != nil) != c.cancelled {
			m.t.Fatalf("the dial for %q: its context has ended: %v, want %v", c.key, c.call.ctx.Err(), c.cancelled)
		}
	}
}

// next is the connection that a Get for key has to take, nil if it has to wait.
func (m *model) next(key string) *mConn {
	var best *mConn
	for _, c := range m.conns {
		if c.key != key || m.free(c) == 0 {
			continue
		}
		if best == nil || c.leases < best.leases || c.leases == best.leases && c.freeOrder > best.freeOrder {
			best = c
		}
	}
	return best
}

// forgetKeys forgets what was known of keys with nothing left.
func (m *model) forgetKeys() {
	for _, key := range m.keys() {
		if m.of(key, func(*mConn) bool { return true }) == 0 && len(m.waiting(key)) == 0 && !m.warming(key) {
			delete(m.slotsSeen, key)
			delete(m.dialFailed, key)
			delete(m.failures, key)
			delete(m.paces, key)
		}
	}
}
