package transport

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/stayopen-go/stayopen/pool"
)

// lifetime is what an HTTP/1 connection knows of its own end: what the peer has
// said, and what other connections of its origin have taught. Used by one
// exchange at a time, and by whoever closes the connection.
type lifetime struct {
	lesson *lesson   // nil on HTTP/2, which says GOAWAY
	epoch  time.Time // what moments are counted from, a second before the first so that none is 0

	exchanges atomic.Int64 // that have had a response
	idleSince atomic.Int64 // when the last of them ended, see now; 0 while one runs, and before the first
	began     atomic.Int64 // when the one that runs began
	before    atomic.Int64 // how long it had been idle then
	announced atomic.Bool  // the peer has said when it will close: there is nothing to learn
	testing   atomic.Bool  // it is to reach the learned limit of exchanges and stay open, see lesson.test
	beyond    atomic.Bool  // it is to serve one exchange more than that, see lesson.brokenOff
}

// unused has a connection stay open until IdleConnTimeout without being used.
const unused = time.Duration(-1)

// heard takes in what a response says of the connection's future, and tells the
// pool how long it may be used from now on.
func (c *conn) heard(resp *http.Response) {
	l := &c.life
	n := l.exchanges.Add(1)
	if l.lesson == nil {
		return
	}
	said := keepAliveOf(resp.Header)
	if said != (keepAlive{}) || resp.Close {
		l.announced.Store(true)
	}
	idle, exchanges := l.lesson.limits()
	if said.idle == 0 && said.requests == 0 && idle == 0 && exchanges == 0 {
		return
	}
	entry := c.entry.Load()
	// Now and then what was only learned is put to the test.
	if offer := leastOf(said.idle, idle); offer > 0 {
		keep := time.Duration(0)
		if said.idle == 0 && l.lesson.test() {
			keep = unused
		}
		entry.SetIdleLimit(offer, keep)
	}
	left := said.requests
	switch rest := exchanges - int(n); {
	case exchanges == 0:
	case rest < 0:
		l.lesson.outlived(0, int(n))
	case rest == 0 && l.testing.Load() && l.lesson.goBeyond():
		l.beyond.Store(true)
		left = leastOf(left, 1)
	case rest == 0 && l.testing.Load():
		entry.SetIdleLimit(1, unused) // its place is free for another
		entry.SetSlots(0)             // nor has it one for who waits already
	case rest == 0:
		left = 0
		entry.SetLeasesLeft(0)
	case rest == 1 && said.requests == 0 && l.lesson.testExchanges():
		l.testing.Store(true)
		left = 2 // the next one is not told that it is the last
	default:
		left = leastOf(left, rest)
	}
	if left > 0 {
		// What is said here takes the place of the pool's own count.
		if most := c.t.maxRequests; most > 0 {
			left = min(left, max(most-int(n), 0))
		}
		entry.SetLeasesLeft(left)
	}
}

// works notes that an exchange begins, and that the connection had outlived what
// it did until then.
func (l *lifetime) works() {
	since := l.idleSince.Swap(0)
	if l.lesson == nil || since == 0 {
		return
	}
	l.began.Store(l.now())
	l.before.Store(int64(l.idleFor(since)))
	idle, exchanges := l.lesson.limits()
	if n := int(l.exchanges.Load()); idle > 0 && l.idleFor(since) > idle || exchanges > 0 && n >= exchanges {
		l.lesson.outlived(l.idleFor(since), n)
	}
}

// rests notes that an exchange has ended and the connection can go on.
func (l *lifetime) rests() { l.idleSince.Store(l.now()) }

// now is in nanoseconds, by the monotonic clock: when the wall clock is set forward
// no connection has outlived anything.
func (l *lifetime) now() int64 { return int64(time.Since(l.epoch)) }

func (l *lifetime) idleFor(since int64) time.Duration { return time.Duration(l.now() - since) }

// ended draws the lesson from a connection's end.
func (l *lifetime) ended(why reason) {
	if l.lesson == nil || l.announced.Load() || l.exchanges.Load() == 0 {
		return
	}
	since := l.idleSince.Load()
	switch {
	case since == 0 && why == reasonPeer:
		l.lesson.closed(time.Now(), l.crossed(), 0)
	case since == 0:
	case why == reasonPeer:
		l.lesson.closed(time.Now(), l.idleFor(since), int(l.exchanges.Load()))
	case why.ofIdle():
		idle := l.idleFor(since)
		l.lesson.outlived(idle, int(l.exchanges.Load()))
		if idle < oneMoment && l.testing.Load() && pool.Reason(why) == pool.Evicted {
			l.lesson.brokenOff()
		}
	}
}

// mayServe reports whether a request may be sent, as far as what was learned goes.
// If it is the first beyond the limit the connection may be about to close: then
// only one that is sent again in that case.
func (l *lifetime) mayServe(req *http.Request) bool { return !l.beyond.Load() || replayable(req) }

// ofIdle reports whether the pool has closed what was idle and in good order.
func (r reason) ofIdle() bool {
	switch pool.Reason(r) {
	case pool.IdleTimeout, pool.MaxAge, pool.IdleLimit, pool.Surplus, pool.Evicted, pool.CloseIdle:
		return true
	}
	return false
}

// crossed is how long a connection had been idle that the peer has closed during
// an exchange, if the two may have crossed on their way. Otherwise it was in use.
func (l *lifetime) crossed() time.Duration {
	if l.idleFor(l.began.Load()) >= oneMoment {
		return 0
	}
	return time.Duration(l.before.Load())
}
