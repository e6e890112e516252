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
	lag = 250 * time.Millisecond
	// maxBacklog bounds what is remembered for that.
	maxBacklog = 1 << 16
	// minSweep is how many keys are remembered without looking which are empty.
	minSweep = 256
)

// Model is a simulated pool. It is safe for concurrent use; moments may be told a
// little out of order.
type Model[K comparable] struct {
	// mu guards all of it. What is done under it is a few steps for each
	// request, some of them late.
	mu      sync.Mutex
	born    time.Time
	pool    pool
	origins map[K]*origin
	sweepAt int // the number of keys at which to look which are empty

	backlog queue[begun]
	flying  int // requests begun and not ended
}

// begun is a request to be simulated, or without one CloseIdleConnections.
type begun struct {
	at time.Duration
	r  *Request
}

// New makes a model of a pool with this policy.
func New[K comparable](policy Policy) *Model[K] {
	return &Model[K]{
		born:    time.Now(),
		pool:    pool{policy: policy},
		origins: make(map[K]*origin),
		sweepAt: minSweep,
	}
}

// Begin tells that r, a request for key, begins to look for a connection.
func (m *Model[K]) Begin(r *Request, now time.Time, key K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.flying++
	r.state, r.origin, r.began = queued, m.origin(key), now.Sub(m.born)
	r.origin.queued++
	m.backlog.push(begun{r.began, r})
	m.advance(r.began)
}

// End tells that r has ended.
func (m *Model[K]) End(r *Request, now time.Time, e Ending) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.flying--
	r.over, r.at, r.ending = true, now.Sub(m.born), e
	got := r.began
	if !e.Got.IsZero() {
		got = e.Got.Sub(m.born)
	}
	r.service = max(r.at-got, 0)
	if e.Major > 0 {
		m.pool.learn(r.origin, e.Major >= 2)
	}
	switch r.state {
	case waiting:
		if r.hadNone() {
			m.pool.plan(event{at: r.at, ends: r})
		}
	case running:
		m.pool.planEnd(r)
	}
	m.advance(r.at)
}

// Dialed tells that a dial for key took so long, TLS included.
func (m *Model[K]) Dialed(key K, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pool.took.add(took)
	if o := m.origins[key]; o != nil {
		o.took.add(took)
	}
}

// CloseIdle tells that CloseIdleConnections was called.
func (m *Model[K]) CloseIdle(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := now.Sub(m.born)
	m.backlog.push(begun{at: at})
	m.advance(at)
}

// Counts is what the pool would have done up to now; while requests are under
// way, up to a quarter of a second ago.
func (m *Model[K]) Counts(now time.Time) Counts {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(now.Sub(m.born))
	return m.pool.counts
}

// origin finds or makes the key's.
func (m *Model[K]) origin(key K) *origin {
	if o := m.origins[key]; o != nil {
		return o
	}
	if len(m.origins) >= m.sweepAt {
		m.sweep()
	}
	o := new(origin)
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
		return
	}
	b.r.origin.queued--
	m.pool.begin(b.r)
}

// happen lets e happen.
func (m *Model[K]) happen(e event) {
	m.pool.pass(e.at)
	switch {
	case e.ends != nil:
		m.pool.end(e.ends)
	case e.slow:
		m.pool.slowed(e.dial)
	default:
		m.pool.dialed(e.dial)
	}
}
