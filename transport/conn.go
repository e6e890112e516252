package transport

import (
	"context"
	"net/http"
	"sync/atomic"

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
	entry *connEntry // the pool's side of it
	wire  *wire
	http2 bool
	cc    *http.ClientConn

	used    atomic.Bool            // an exchange was attempted
	served  atomic.Bool            // an exchange succeeded
	ready   atomic.Bool            // HTTP/2: cc is set
	settled atomic.Bool            // HTTP/2: the peer's limit on streams is known
	reason  atomic.Pointer[reason] // why it is being closed; the first one said counts
}

// dial is the pool's Dial.
func (t *Transport) dial(ctx context.Context, o origin, entry *connEntry) (*conn, int, error) {
	h, err := t.connect(ctx, o)
	if err != nil {
		return nil, 0, err
	}
	c := &conn{t: t, entry: entry, http2: h.http2()}
	c.wire = h.wire(c.onClose)
	if c.http2 {
		// Before the peer's settings, net/http takes 100 streams for allowed,
		// and a peer that allows fewer refuses the rest. One until they are
		// here; zero tells the pool that more will be said.
		c.wire.settings, c.wire.onSettled = new(settingsFrame), c.settle
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

// because notes why c is going to be closed, unless that is known already.
func (c *conn) because(r reason) { c.reason.CompareAndSwap(nil, &r) }

// close is the pool's Close.
func (c *conn) close(why pool.Reason) {
	c.because(reason(why))
	c.cc.Close()
}

// onClose counts the close, whoever asked for it. It may run under a
// ClientConn's mutex.
func (c *conn) onClose(record dialer.CloseRecord) {
	why := reasonPeer
	if r := c.reason.Load(); r != nil {
		why = *r
	} else if !c.wire.broke.Load() {
		why = reasonProtocol
	}
	c.t.count.closed(record, why)
	c.entry.Gone()
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
	free := c.cc.Available()
	if free == 0 && c.cc.InFlight() == 0 {
		// Nothing runs and yet nothing is allowed: GOAWAY, or a peer that
		// allows no streams.
		c.entry.Retire(pool.Reason(reasonGoAway))
		return
	}
	c.entry.SetSlots(free + c.cc.InFlight())
}
