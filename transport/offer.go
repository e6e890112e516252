package transport

import (
	"sync"
	"time"

	"github.com/stayopen-go/stayopen/pool"
)

const (
	// offerTime is how long a connection waits for credentials after a response
	// that asked for them. Whoever has them sends them at once.
	offerTime = time.Second

	// maxDeclined bounds of how many origins it is known that nobody here
	// authenticates with them.
	maxDeclined = 1024
)

// offers are the connections of the common partition on which a response has
// asked for NTLM or Negotiate and nobody has begun with it, one for each origin.
// Some clients and servers would begin on just that connection, so a request with
// credentials gets it if it has none of its own.
//
// Nothing is known of such a connection yet. So it returns to everybody when no
// request with credentials comes, or one that has no need of it. Where none came
// at all the next ones return at once: whoever has no credentials for a server,
// such as a crawler, pays for it once, with a second connection.
type offers struct {
	mu       sync.Mutex // guards what follows; no lease is ended under it
	held     map[origin]*offer
	declined recent[origin, struct{}] // where nobody came
	closed   bool
}

// offer is a connection that waits for credentials.
type offer struct {
	all     *offers
	room    origin
	schemes authScheme
	lease   *connLease
	timer   *time.Timer
}

// hold keeps the connection, whose exchange has ended, from the pool.
func (f *offer) hold(lease *connLease) {
	all := f.all
	all.mu.Lock()
	_, declined := all.declined.get(f.room)
	held := !all.closed && !declined && all.held[f.room] == nil
	if held {
		f.lease = lease
		f.timer = time.AfterFunc(offerTime, f.expire)
		if all.held == nil {
			all.held = make(map[origin]*offer)
		}
		all.held[f.room] = f
	}
	all.mu.Unlock()
	if !held {
		lease.Release()
	}
}

// expire returns the connection, and remembers that nobody came.
func (f *offer) expire() {
	all := f.all
	all.mu.Lock()
	held := all.held[f.room] == f
	if held {
		delete(all.held, f.room)
		all.declined.max = maxDeclined
		all.declined.put(f.room, struct{}{})
	}
	all.mu.Unlock()
	if held {
		f.lease.Release()
	}
}

// take takes out the offer that credentials for o could begin on, nil if there
// is none. Somebody came.
func (all *offers) take(o origin) *offer {
	room := o.room()
	all.mu.Lock()
	defer all.mu.Unlock()
	all.declined.delete(room)
	f := all.held[room]
	if f == nil || f.schemes&o.auth == 0 {
		return nil
	}
	delete(all.held, room)
	f.timer.Stop()
	return f
}

// decline says that a request with credentials for o had no need of an offer.
func (all *offers) decline(o origin) {
	if f := all.take(o); f != nil {
		f.lease.Release()
	}
}

// release returns all to the pool.
func (all *offers) release() {
	all.mu.Lock()
	held := all.held
	all.held = nil
	all.mu.Unlock()
	for _, f := range held {
		f.timer.Stop()
		f.lease.Release()
	}
}

// close is release, also of those to come.
func (all *offers) close() {
	all.mu.Lock()
	all.closed = true
	all.mu.Unlock()
	all.release()
}

// adopt takes a connection that waits for such credentials as o's into o, nil if
// there is none. Its age is counted anew.
func (t *Transport) adopt(o origin, entry *connEntry) *conn {
	f := t.offers.take(o)
	if f == nil {
		return nil
	}
	c := f.lease.Value()
	if why := c.wire.stale(c.http2); why != "" {
		f.lease.Retire(pool.Reason(why))
		return nil
	}
	f.lease.Conn().Lost(pool.Reason(reasonPrivate)) // the room has it no more
	c.move(entry)
	return c
}
