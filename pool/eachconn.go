package pool

import "runtime"

// stretch is how many keys and connections EachConn looks at before it lets go of
// the mutex. A hundred thousand take 10 ms and more, and so long nobody would get
// a lease.
const stretch = 64

// EachConn calls f for each connection that is open, with the number of leases on
// it, key by key in the order in which the pool met them. Like All it holds nobody
// up: the mutex is let go of again and again, so that the figures of one connection
// are of one moment but those of two need not be. A connection that is dialed
// meanwhile may be left out, as may be one that goes; none comes twice. It may be
// called at any time by anybody, and f may call the pool.
func (p *Pool[K, C]) EachConn(f func(c C, leases int)) {
	t := &connTour[K, C]{tour: p.beginTour()}
	t.at.phase, t.end.phase = ended, ended
	defer p.endConnTour(t)
	for more := true; more; {
		more = p.nextConns(t)
		for _, s := range t.seen[:t.n] {
			f(s.value, s.leases)
		}
		runtime.Gosched() // as All does after a breath
	}
}

// connTour is how far one EachConn has come.
type connTour[K comparable, C any] struct {
	*tour[K, C]

	// Between two stretches in an origin, two marks stand among its connections:
	// before the next one to visit, and behind those that were there at first.
	// They look like connections that have ended.
	in      *origin[K, C] // nil between two origins
	at, end Conn[K, C]

	seen [stretch]struct {
		value  C
		leases int
	}
	n int // how many of them the last stretch has met
}

// nextConns goes one stretch further. It returns false at the end.
func (p *Pool[K, C]) nextConns(t *connTour[K, C]) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	t.n = 0
	for range stretch {
		if t.in == nil && !p.enterLocked(t) {
			return false
		}
		c := t.in.conns.after(&t.at)
		if c == &t.end {
			t.leaveLocked()
			continue
		}
		t.in.conns.remove(&t.at)
		t.in.conns.insertBefore(&t.at, t.in.conns.after(c))
		if c.phase == open {
			t.seen[t.n].value, t.seen[t.n].leases = c.value, c.leased
			t.n++
		}
	}
	return true
}

// enterLocked goes on to the next origin. It returns false if there is none.
func (p *Pool[K, C]) enterLocked(t *connTour[K, C]) bool {
	if t.in = p.stepLocked(t.tour); t.in == nil {
		return false
	}
	t.in.conns.pushFront(&t.at)
	t.in.conns.pushBack(&t.end)
	return true
}

func (t *connTour[K, C]) leaveLocked() {
	t.in.conns.remove(&t.at)
	t.in.conns.remove(&t.end)
	t.in = nil
}

func (p *Pool[K, C]) endConnTour(t *connTour[K, C]) {
	p.mu.Lock()
	if t.in != nil {
		t.leaveLocked()
	}
	p.mu.Unlock()
	p.endTour(t.tour)
}
