// Package model simulates how an HTTP client's pool would have dealt with
// requests that were really sent by another: how many connections it would have
// opened and closed. It opens nothing itself.
//
// A simulated request takes as long on its connection as the real one did on
// its own, from the moment it had it to the end of its response. When it gets one
// is the simulation's business: a request that waited or dialed in reality may
// find an idle connection in the model, and the other way round. Dials take as
// long as the real ones did of late.
//
// What package pool decides, when to dial and what is surplus, is decided here by
// the same code, package growth, from the same figures. Only where several things
// are due at the very same moment it may come otherwise, for there it does in the
// pool.
//
// What no client can see is not simulated: connections that a peer closes while
// they are idle. HTTP/2 is taken to have streams for everybody, on one connection
// for each key.
package model

import (
	"sync"
	"time"
)

const (
	// lag is how far the simulation stays behind while requests are under way.
	// How long a request takes is known when it has ended, and where the model
	// gives it a connection sooner than it really got one, it ends sooner: up to
	// this much earlier than now, the simulation has not passed that moment.
	// Nor has it then decided anything for a key of which the first dial has
	// not told yet whether it is HTTP/2.
	lag = time.Second
	// maxBacklog bounds what is remembered for that.
	maxBacklog = 1 << 16
	// inboxSize is how many notices are taken in at a time: the simulation's
	// memory is then touched now and then instead of at each.
	inboxSize = 64
	// minSweep is how many keys are remembered without looking which are empty.
	minSweep = 256
)

// Model is a simulated pool. It is safe for concurrent use; moments may be told a
// little out of order.
type Model[K comparable] struct {
	born time.Time

	// inboxMu guards inbox. It is held for no longer than an append takes, since
	// a transport's hooks wait for it.
	inboxMu sync.Mutex
	inbox   []notice[K]

	// mu guards the simulation. It is locked before inboxMu, never after, and
	// whoever finds it locked on the way of a request leaves the work to others.
	mu      sync.Mutex
	spare   []notice[K] // the inbox's memory, in turn
	pool    pool
	alone   func(K) bool
	origins map[K]*origin
	sweepAt int // the number of keys at which to look which are empty
	backlog queue[begun]
	flying  int // requests begun and not ended
}

// notice is what the model was told.
type notice[K comparable] struct {
	kind kind
	at   time.Duration // or how long it took
	r    *Request
	key  K
}

type kind uint8

const (
	beginning kind = iota
	ending
	dialing
	multiplexing
	closing
)

// begun is a request to be simulated, or without one CloseIdleConnections.
type begun struct {
	at time.Duration
	r  *Request
}

// New makes a model of a pool with this policy. Where dials are weighed, alone
// reports whether only one at a time shall run for a key of which no connection
// has stood yet, as pool.Config.DialAlone does; nil: for none.
func New[K comparable](policy Policy, alone func(K) bool) *Model[K] {
	return &Model[K]{
		born:    time.Now(),
		pool:    pool{policy: policy},
		alone:   alone,
		origins: make(map[K]*origin),
		sweepAt: minSweep,
	}
}

// Begin tells that r, a request for key, begins to look for a connection: now,
// which is when Begin returns rather than when it was called.
func (m *Model[K]) Begin(r *Request, key K) {
	m.inboxMu.Lock()
	m.inbox = append(m.inbox, notice[K]{kind: beginning, at: time.Since(m.born), r: r, key: key})
	m.inboxMu.Unlock()
}

// BeganAt is Begin for a request that began at an earlier moment.
func (m *Model[K]) BeganAt(r *Request, at time.Time, key K) {
	m.tell(notice[K]{kind: beginning, at: at.Sub(m.born), r: r, key: key})
}

// End tells that r has ended.
func (m *Model[K]) End(r *Request, now time.Time, e Ending) {
	r.ending = e
	m.tell(notice[K]{kind: ending, at: now.Sub(m.born), r: r})
}

// Dialed tells that a dial for key took so long, TLS included.
func (m *Model[K]) Dialed(key K, took time.Duration) {
	m.tell(notice[K]{kind: dialing, at: took, key: key})
}

// SpeaksHTTP2 tells that a connection for key agreed on HTTP/2. Responses say so,
// too, but later.
func (m *Model[K]) SpeaksHTTP2(key K) { m.tell(notice[K]{kind: multiplexing, key: key}) }

// CloseIdle tells that CloseIdleConnections was called.
func (m *Model[K]) CloseIdle(now time.Time) {
	m.tell(notice[K]{kind: closing, at: now.Sub(m.born)})
}

// Counts is what the pool would have done up to now; while requests are under
// way, up to a second ago.
func (m *Model[K]) Counts(now time.Time) Counts {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.takeIn()
	m.advance(now.Sub(m.born))
	return m.pool.counts
}

// tell puts n into the inbox, and simulates when enough has come together.
func (m *Model[K]) tell(n notice[K]) {
	m.inboxMu.Lock()
	m.inbox = append(m.inbox, n)
	full := len(m.inbox) >= inboxSize
	m.inboxMu.Unlock()
	if full && m.mu.TryLock() {
		m.takeIn()
		m.advance(time.Since(m.born))
		m.mu.Unlock()
	}
}

// takeIn empties the inbox.
func (m *Model[K]) takeIn() {
	m.inboxMu.Lock()
	notices := m.inbox
	m.inbox = m.spare[:0]
	m.inboxMu.Unlock()
	for _, n := range notices {
		switch n.kind {
		case beginning:
			m.takeBegin(n)
		case ending:
			m.takeEnd(n.r, n.at)
		case dialing:
			m.pool.took.add(n.at)
			if o := m.origins[n.key]; o != nil {
				o.took.add(n.at)
			}
		case multiplexing:
			if o := m.origins[n.key]; o != nil {
				m.pool.learn(o, true)
			}
		case closing:
			m.backlog.push(begun{at: n.at})
		}
	}
	clear(notices) // requests are not to be kept
	m.spare = notices
	if cap(notices) > maxBacklog {
		m.spare = nil
	}
}

func (m *Model[K]) takeBegin(n notice[K]) {
	m.flying++
	r := n.r
	r.origin, r.began = m.origin(n.key), n.at
	r.origin.queued++
	m.backlog.push(begun{n.at, r})
}

func (m *Model[K]) takeEnd(r *Request, at time.Duration) {
	m.flying--
	r.over, r.at = true, at
	got := r.began
	if !r.ending.Got.IsZero() {
		got = r.ending.Got.Sub(m.born)
	}
	r.service = max(at-got, 0)
	if r.ending.Major > 0 {
		m.pool.learn(r.origin, r.ending.Major >= 2)
	}
	switch r.state {
	case waiting:
		if r.hadNone() {
			m.pool.plan(event{at: at, ends: r})
		}
	case running:
		m.pool.planEnd(r)
	}
}

// origin finds or makes the key's.
func (m *Model[K]) origin(key K) *origin {
	if o := m.origins[key]; o != nil {
		return o
	}
	if len(m.origins) >= m.sweepAt {
		m.sweep()
	}
	o := &origin{mayShare: m.alone != nil && m.alone(key)}
	o.forget()
	m.origins[key] = o
	return o
}

// sweep forgets the keys of which nothing is left. It looks at all, but only
// when they have doubled.
func (m *Model[K]) sweep() {
	for key, o := range m.origins {
		if o.empty() {
			delete(m.origins, key)
		}
	}
	m.sweepAt = max(minSweep, 2*len(m.origins))
}

// advance simulates what is certain at the moment given.
func (m *Model[K]) advance(now time.Duration) {
	until := now
	if m.flying > 0 {
		until -= lag
	}
	for {
		late := m.backlog.len() > maxBacklog
		next := m.backlog.len() > 0 && (late || m.backlog.first().at <= until)
		switch {
		case next && !m.pool.due(m.backlog.first().at):
			m.simulate(m.backlog.pop())
		case next, m.pool.due(until):
			m.happen(m.pool.agenda.pop())
		default:
			m.pool.pass(until)
			return
		}
	}
}

// simulate lets begin what begins.
func (m *Model[K]) simulate(b begun) {
	m.pool.pass(b.at)
	if b.r == nil {
		m.pool.closeAllIdle()
	} else {
		b.r.origin.queued--
		m.pool.begin(b.r)
	}
	m.pool.settle()
}

// happen lets e happen.
func (m *Model[K]) happen(e event) {
	m.pool.pass(e.at)
	switch {
	case e.ends != nil:
		m.pool.end(e.ends)
	case e.bell != nil:
		m.pool.ring(e.bell, e.at)
	case e.slow:
		m.pool.slowed(e.dial)
	default:
		m.pool.dialed(e.dial)
	}
	m.pool.settle()
}
