package transport

import (
	"container/list"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
)

// maxResting bounds how many origins without a connection have their totals kept.
const maxResting = 1024

// tally is what the connections of one origin have done. They count on it
// themselves: the way of a request finds it by the connection. Each figure is
// counted in Transport.count before it is here, so that sums over some origins are
// never above what is said of all.
type tally struct {
	exchanges, opened, closes, closesByPeer atomic.Uint64
	used, served, reused, avoided           atomic.Uint64
	timeWaits, waits, waitTime              atomic.Uint64
	dialsFailed                             atomic.Uint64

	protocol atomic.Uint32 // one of the values below

	// The rest is guarded by tallies.mu.
	origin  origin
	users   int           // dials under way, and connections whose end has not been counted
	resting *list.Element // nil while it has users
}

// The values of tally.protocol.
const (
	protocolUnknown uint32 = iota
	protocolHTTP1
	protocolHTTP2
)

// tallies are a Transport's, by origin. One with a connection or a dial is kept,
// and of the others the maxResting that had one last.
type tallies struct {
	dialsFailed atomic.Uint64 // of all origins
	forgotten   atomic.Bool   // some are

	byOrigin sync.Map // of *tally by origin; so that reading them all holds nobody up

	mu      sync.Mutex // guards what follows, and changes of byOrigin; a dial or the end of a connection takes it, a request does not
	resting list.List  // of *tally, those that rest longest first
}

// get returns o's tally for a dial.
func (all *tallies) get(o origin) *tally {
	all.mu.Lock()
	defer all.mu.Unlock()
	known, ok := all.byOrigin.Load(o)
	if !ok {
		known = &tally{origin: o}
		all.byOrigin.Store(o, known)
	}
	t := known.(*tally)
	t.users++
	if t.resting != nil {
		all.resting.Remove(t.resting)
		t.resting = nil
	}
	return t
}

// put ends a use: the dial has failed, or the connection's end was counted.
func (all *tallies) put(t *tally) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if t.users--; t.users > 0 {
		return
	}
	t.resting = all.resting.PushBack(t)
	if all.resting.Len() > maxResting {
		oldest := all.resting.Remove(all.resting.Front()).(*tally)
		oldest.resting = nil
		all.byOrigin.Delete(oldest.origin)
		all.forgotten.Store(true)
	}
}

// hold is one more use of a tally that is in use.
func (all *tallies) hold(t *tally) {
	all.mu.Lock()
	t.users++
	all.mu.Unlock()
}

// dialFailed counts a dial that made no connection of use.
func (all *tallies) dialFailed(t *tally) {
	all.dialsFailed.Add(1)
	t.dialsFailed.Add(1)
}

// closed counts the end of a connection, which was a use.
func (all *tallies) closed(t *tally, r dialer.CloseRecord) {
	t.closes.Add(1)
	if r.By == dialer.Peer {
		t.closesByPeer.Add(1)
	}
	if r.TimeWait {
		t.timeWaits.Add(1)
	}
	all.put(t)
}

// exchange counts a response header.
func (t *tally) exchange(again bool) {
	t.exchanges.Add(1)
	if again {
		t.avoided.Add(1)
	} else {
		t.served.Add(1)
	}
}

// waited counts an attempt that had to wait for a connection.
func (t *tally) waited(d time.Duration) {
	t.waits.Add(1)
	t.waitTime.Add(uint64(d))
}

// speaks notes the protocol of a connection that was dialed.
func (t *tally) speaks(http2 bool) {
	if http2 {
		t.protocol.Store(protocolHTTP2)
	} else {
		t.protocol.Store(protocolHTTP1)
	}
}
