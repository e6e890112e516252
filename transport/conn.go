package transport

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/pool"
)

type (
	connPool  = pool.Pool[origin, *conn]
	connEntry = pool.Conn[origin, *conn]
	connLease = pool.Lease[origin, *conn]
)

// conn is a connection in the pool: net/http's ClientConn on a wire of ours.
type conn struct {
	t     *Transport
	entry atomic.Pointer[connEntry] // the pool's side of it
	wire  *wire
	tally *tally // of the origin that it was dialed for
	http2 bool
	cc    *http.ClientConn

	origin origin            // that it was dialed for
	span   trace.SpanContext // of its dial, if there is one
	born   time.Time         // when it stood, TLS and the proxy included
	host   *host             // whose figures it counts among

	busy       atomic.Bool // HTTP/1: an exchange runs on it
	used       atomic.Bool // an exchange was attempted
	served     atomic.Bool // an exchange succeeded
	ready      atomic.Bool // HTTP/2: cc is set
	settled    atomic.Bool // HTTP/2: the peer's limit on streams is known
	life       lifetime
	slots      sync.Mutex             // held while the pool is told of streams
	rechecking atomic.Bool            // a recheck is due
	asking     atomic.Int32           // HTTP/1: whether the response to the request is still to come; see undecided
	told       atomic.Bool            // the peer knows, or has said, that the exchange is the last
	cut        atomic.Bool            // it is closed while exchanges run
	reason     atomic.Pointer[reason] // why it is being closed; the first one said counts

	goodbye time.Time   // from when on an exchange on it is the last; zero is never
	watch   *watch      // the host whose address it was dialed to; nil if that is not looked up again
	leaving atomic.Bool // that address is gone: an exchange on it is the last
}

// dial is the pool's Dial.
func (t *Transport) dial(ctx context.Context, o origin, entry *connEntry) (*conn, int, error) {
	if o.auth != 0 {
		if c := t.adopt(o, entry); c != nil {
			return c, 1, nil
		}
	}
	tally := t.tallies.get(o)
	defer t.tallies.put(tally)
	c, slots, err := t.dialNew(ctx, o, entry, tally)
	if err != nil && ctx.Err() == nil {
		t.tallies.dialFailed(tally)
	}
	return c, slots, err
}

// dialNew opens a connection, and counts on the tally.
func (t *Transport) dialNew(ctx context.Context, o origin, entry *connEntry, tally *tally) (*conn, int, error) {
	began := time.Now()
	ctx, span := t.spans.dial(ctx, o, openReason(entry.Cause()))
	h, err := t.connect(ctx, o, tally, entry.Cause(), span)
	span.finish(err)
	if err != nil {
		t.journal.dialFailed(o, h.step, err, time.Since(began))
		return nil, 0, err
	}
	c := &conn{t: t, tally: tally, http2: h.http2(), born: time.Now(), host: t.metrics.hosts.of(o), origin: o, span: span.context()}
	t.compare.dialed(o, c.born.Sub(began), c.http2)
	tally.speaks(c.http2)
	c.entry.Store(entry)
	c.wire = h.wire(c.onClose)
	t.journal.opened(o, c, h.because, c.born.Sub(began))
	c.wire.unfinished, c.wire.mode, c.wire.onGone = c.unfinished, c.closeMode, c.onGone
	if !c.http2 {
		c.wire.busy, c.wire.undecided = &c.busy, c.undecided
		c.life.lesson, c.life.epoch = t.lessons.of(o), c.born.Add(-time.Second)
		c.goodbye = t.goodbye(c.born)
	}
	c.watch = t.watch(o, c)
	if c.http2 {
		// Before the peer's settings, net/http takes 100 streams for allowed,
		// and a peer that allows fewer refuses the rest. One until they are
		// here; zero tells the pool that more will be said.
		c.wire.frames, c.wire.onSettled, c.wire.onGoAway = new(frames), c.settle, c.updateSlots
	}
	proxy := o.proxyURL()
	if o.scheme != "http" || proxy != nil && isSOCKS(proxy) {
		proxy = nil
	}
	c.cc, err = t.engines.clientConn(c.wire, c.http2, proxy)
	if err != nil {
		c.because(reasonSetup)
		c.wire.Close()
		return nil, 0, err
	}
	if !c.http2 || t.singleUse {
		return c, 1, nil
	}
	c.ready.Store(true)
	c.cc.SetStateHook(func(*http.ClientConn) { c.updateSlots() })
	c.updateSlots() // the settings may have been faster than we
	return c, 0, nil
}

// fresh reports whether lease is that of a connection to which nothing had time
// to happen.
func (c *conn) fresh(lease *connLease) bool {
	// On HTTP/1 a connection that was used may have been adopted, or the lease
	// held for a handshake's next leg.
	return lease.Fresh() && (c.http2 || !c.used.Load())
}

// move makes entry the pool's side of c, which the pool has let go of.
func (c *conn) move(entry *connEntry) {
	c.entry.Store(entry)
	if c.wire.closed.Load() { // and it may have been the old one that was told
		entry.Lost(pool.Reason(c.why()))
	}
}

// because notes why c is going to be closed, unless that is known already.
func (c *conn) because(r reason) { c.reason.CompareAndSwap(nil, &r) }

// close is the pool's Close.
func (c *conn) close(why pool.Reason) {
	r := reason(why)
	if r == reasonUnasked && c.wire.farewell.Load() {
		r = reasonPeer // by now it has been read what it was
	}
	c.because(r)
	if r == reason(pool.Closed) {
		c.cut.Store(c.busy.Load() || c.http2 && c.cc.InFlight() > 0)
	}
	c.cc.Close()
}

// unfinished reports whether net/http closes an HTTP/1 connection by itself in
// the middle of an exchange: the response was malformed or late, or was here long
// before the request's writer had said that it was done (50 ms, which a busy
// machine can take). Nobody wants what is still to come on it.
func (c *conn) unfinished() bool {
	return c.busy.Load() && c.reason.Load() == nil && !c.wire.broke.Load()
}

// The values of asking.
const (
	notAsking int32 = iota
	asking          // net/http's RoundTrip is under way
	closeDue        // and meanwhile it has closed the connection
)

// undecided reports whether net/http closes an HTTP/1 connection by itself before
// its RoundTrip returns, so that there is no telling yet what to think of that:
// it does so when a response was malformed, and when one without a body was the
// last. In that case answered closes the connection.
func (c *conn) undecided() bool {
	return c.unfinished() && !c.wire.reset.Load() && c.asking.CompareAndSwap(asking, closeDue)
}

// ask says that RoundTrip is about to be called.
func (c *conn) ask() {
	if !c.http2 {
		c.asking.Store(asking)
	}
}

// answered says that RoundTrip has returned, and that what is to be said about
// the connection's end has been said.
func (c *conn) answered() {
	if c.asking.Swap(notAsking) == closeDue {
		c.wire.conclude()
	}
}

// onClose counts the close, whoever asked for it. It may run under a
// ClientConn's mutex.
func (c *conn) onClose(record dialer.CloseRecord) {
	why := c.why()
	c.t.count.closed(record, why)
	c.t.journal.closed(c, record, why)
	c.t.tallies.closed(c.tally, record)
	c.t.metrics.lived(c, record.At.Sub(c.born))
}

// onGone tells the pool, whoever asked for the close. It may run under a
// ClientConn's mutex.
func (c *conn) onGone() {
	c.life.ended(c.why())
	c.watch.remove(c)
	c.entry.Load().Lost(pool.Reason(c.why()))
}

// why c is closed.
func (c *conn) why() reason {
	if r := c.reason.Load(); r != nil {
		return *r
	}
	return c.fault()
}

// loss is why the pool loses c, for r unless something else was said before.
func (c *conn) loss(r reason) pool.Reason {
	if said := c.reason.Load(); said != nil {
		r = *said
	}
	return pool.Reason(r)
}

// fault is why c ended, if nobody here wanted it to.
func (c *conn) fault() reason {
	switch {
	case c.wire.goneAway.Load():
		return reasonGoAway
	case c.wire.broke.Load(), c.wire.farewell.Load():
		return reasonPeer
	case c.busy.Load():
		return reasonBroken
	case c.http2:
		return reasonProtocol
	}
	// net/http has no other reason to close an HTTP/1 connection that is idle.
	return reasonUnasked
}

// settle: the peer's HTTP/2 settings have been handled, or a response is here,
// before which they must have been.
func (c *conn) settle() {
	if !c.settled.Swap(true) {
		c.updateSlots()
	}
}

// updateSlots tells the pool how many streams an HTTP/2 connection allows now.
func (c *conn) updateSlots() {
	if !c.settled.Load() || !c.ready.Load() {
		return
	}
	// One at a time: what was read last must be what is said last. ClientConn
	// calls nothing of ours here.
	c.slots.Lock()
	defer c.slots.Unlock()
	for range 2 {
		free, running := c.cc.Available(), c.cc.InFlight()
		switch {
		case free > 0:
			c.entry.Load().SetSlots(free + running)
			return
		case running > 0:
			c.entry.Load().SetSlots(0) // until a stream ends, which the state hook tells
			return
		}
		// A stream may have ended between the two: look again.
	}
	if c.cc.Err() != nil { // it has ended, and is about to be closed
		c.entry.Load().Retire(pool.Reason(c.fault()))
		return
	}
	// Nothing runs and yet nothing is allowed: GOAWAY, or a peer that allows no
	// streams.
	c.entry.Load().Retire(pool.Reason(reasonGoAway))
}

const (
	recheckFirst = 10 * time.Millisecond
	recheckLast  = time.Second
)

// recheck looks again at a connection that refused an exchange. The state hook
// tells when a stream ends, but not when the peer answers the ping with which
// net/http holds on to the place of a canceled stream; so it looks again after
// d, and then ever less often, until the connection allows a stream or is dead.
func (c *conn) recheck(d time.Duration) {
	if c.cc.Available() > 0 || c.cc.InFlight() == 0 {
		c.updateSlots()
		return
	}
	if c.cc.Err() == nil && !c.rechecking.Swap(true) {
		time.AfterFunc(d, func() {
			c.rechecking.Store(false)
			c.recheck(min(2*d, recheckLast))
		})
	}
}
