package transport

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/stayopen-go/stayopen/pool"
)

const (
	// legTime is how long a connection waits for the answer to its challenge.
	// Clients compute it at once.
	legTime = 10 * time.Second

	// bodyTime is how long the answer waits for the body of the challenge to
	// end, which a caller may have left to be drained.
	bodyTime = time.Second
)

// handshakes are the connections that a server has challenged to authenticate as
// a whole, and that wait for the answer. Their leases are held here, so that the
// pool gives them to nobody.
//
// Whose answer a request carries can only be guessed, where several handshakes
// go on at once. A wrong guess ends in a refusal and never in another's name:
// what answers one challenge does not answer another.
type handshakes struct {
	mu      sync.Mutex // guards what follows, and every handshake; no lease is ended under it
	waiting map[origin][]*handshake
	closed  bool
}

// handshake is one of which the next leg is still to come.
type handshake struct {
	all   *handshakes
	room  origin
	creds credentials     // of the leg before
	done  <-chan struct{} // of the caller's context
	url   url.URL         // a copy, since the request is the caller's again

	ready chan struct{} // closed by park or lost, whichever is called
	lease *connLease    // nil until parked
	since time.Time     // when that was

	claimed bool        // the next leg has come
	over    bool        // nobody will take the lease any more
	timer   *time.Timer // runs while parked and unclaimed
}

// room is what all origins have in common that one handshake's legs may have.
func (o origin) room() origin {
	o.auth, o.once = 0, false
	return o
}

// privateOrigin is where a request travels that carries credentials for a scheme
// that authenticates connections. HTTP/2 has no place for them, since everybody's
// streams share its connections, and servers refuse them there: so it is
// HTTP/1.1.
func (t *Transport) privateOrigin(o origin, req *http.Request, creds credentials) origin {
	if t.mayMultiplex(o) {
		o.http1 = true
	}
	if o.partition != "" {
		return o // nobody else's in any case
	}
	if o.addr == "" && !creds.toProxy {
		o.addr = canonicalAddr(req.URL) // it is the target that takes the connection for a user, not the proxy
	}
	o.auth = creds.scheme
	o.once = creds.step != stepFirst
	return o
}

// get leases a connection: the pool's, unless one waits for just this request.
func (x *exchange) get(ctx context.Context, o origin) (*connLease, error) {
	x.resumed = nil
	if x.creds.scheme == 0 {
		return x.wait(ctx, o)
	}
	if x.creds.step != stepFirst {
		if h := x.t.handshakes.resume(x, o.room()); h != nil {
			x.resumed = h
			return h.lease, nil
		}
	}
	lease, err := x.wait(ctx, o)
	if err == nil && !(lease.Fresh() && lease.Value().used.Load()) { // that would be one that offered itself
		x.t.offers.decline(o)
	}
	return lease, err
}

// resume returns the handshake whose next leg x is, with its connection.
func (all *handshakes) resume(x *exchange, room origin) *handshake {
	h := all.claim(x, room)
	if h == nil {
		return nil
	}
	timer := time.NewTimer(bodyTime)
	defer timer.Stop()
	select {
	case <-h.ready:
		if h.lease == nil { // written before ready was closed, and not after
			return nil
		}
		return h
	case <-x.ctx.Done():
	case <-x.t.closed:
	case <-timer.C:
	}
	h.leave()
	return nil
}

// claim takes the handshake that x fits best, of equal ones the oldest.
func (all *handshakes) claim(x *exchange, room origin) *handshake {
	all.mu.Lock()
	defer all.mu.Unlock()
	var best *handshake
	score := -1
	for _, h := range all.waiting[room] {
		if n := h.fits(x); n > score {
			best, score = h, n
		}
	}
	if best == nil {
		return nil
	}
	best.claimed = true
	best.forgetLocked()
	return best
}

// fits is how likely x is h's next leg, negative if it cannot be. The legs of one
// handshake mostly have one context, which nobody else's have, and are about one
// URL.
func (h *handshake) fits(x *exchange) int {
	if h.creds.scheme != x.creds.scheme || h.creds.token == x.creds.token {
		return -1
	}
	n := 0
	if done := x.req.Context().Done(); done != nil && done == h.done {
		n += 2
	}
	if h.url == *x.req.URL {
		n++
	}
	return n
}

// forgetLocked ends h's wait for its next leg.
func (h *handshake) forgetLocked() {
	rest := slices.DeleteFunc(h.all.waiting[h.room], func(other *handshake) bool { return other == h })
	if h.all.waiting[h.room] = rest; len(rest) == 0 {
		delete(h.all.waiting, h.room)
	}
	if h.timer != nil {
		h.timer.Stop()
	}
}

// expect has a handshake wait for the next leg after x's. That leg may come, and
// then waits itself, before the connection is parked.
func (all *handshakes) expect(x *exchange, room origin) *handshake {
	h := &handshake{all: all, room: room, creds: x.creds, done: x.req.Context().Done(), url: *x.req.URL, ready: make(chan struct{})}
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.closed {
		h.over = true
		return h
	}
	if all.waiting == nil {
		all.waiting = make(map[origin][]*handshake)
	}
	all.waiting[room] = append(all.waiting[room], h)
	return h
}

// park holds the connection, whose exchange has ended, for the next leg.
func (h *handshake) park(lease *connLease) {
	h.all.mu.Lock()
	over := h.over
	if !over {
		h.lease, h.since = lease, time.Now()
		if !h.claimed {
			h.timer = time.AfterFunc(legTime, h.expire)
		}
		close(h.ready)
	}
	h.all.mu.Unlock()
	if over {
		lease.Retire(pool.Reason(reasonPrivate))
	}
}

// lost says, instead of park, that the connection is of no use any more.
func (h *handshake) lost() {
	if h == nil {
		return
	}
	h.all.mu.Lock()
	defer h.all.mu.Unlock()
	if h.over {
		return
	}
	h.over = true
	if !h.claimed {
		h.forgetLocked()
	}
	close(h.ready)
}

// expire gives up on the next leg.
func (h *handshake) expire() {
	h.all.mu.Lock()
	late := h.claimed || h.over
	if !late {
		h.over = true
		h.forgetLocked()
	}
	h.all.mu.Unlock()
	if !late {
		h.lease.Retire(pool.Reason(reasonPrivate))
	}
}

// leave says that the next leg came, but did not wait for the connection.
func (h *handshake) leave() {
	h.all.mu.Lock()
	h.over = true
	lease := h.lease
	h.all.mu.Unlock()
	if lease != nil {
		lease.Retire(pool.Reason(reasonPrivate))
	}
}

// close gives up on every next leg, now and from now on.
func (all *handshakes) close() {
	all.mu.Lock()
	all.closed = true
	var parked []*connLease
	for _, waiting := range all.waiting {
		for _, h := range waiting {
			h.over = true
			if h.lease != nil {
				h.timer.Stop()
				parked = append(parked, h.lease)
			}
		}
	}
	all.waiting = nil
	all.mu.Unlock()
	for _, lease := range parked {
		lease.Retire(pool.Reason(reasonPrivate))
	}
}

// challenged notes what a response of status 401 or 407 asks of an HTTP/1
// connection.
func (a *attempt) challenged(resp *http.Response) {
	x := a.x
	if !x.t.protocols.HTTP1() {
		return
	}
	offered, going := challenges(resp)
	switch key := a.lease.Conn().Key(); {
	case x.creds.scheme&going != 0:
		a.leg = x.t.handshakes.expect(x, key.room())
	case x.creds.scheme == 0 && offered != 0 && key.partition == "":
		toProxy := resp.StatusCode == http.StatusProxyAuthRequired
		room := x.t.privateOrigin(key, x.req, credentials{toProxy: toProxy}).room()
		a.offer = &offer{all: &x.t.offers, room: room, schemes: offered}
	}
}

// release ends the lease of an HTTP/1 exchange that left the connection sound.
func (a *attempt) release() {
	switch {
	case a.leg != nil:
		a.leg.park(a.lease)
	case a.offer != nil:
		a.offer.hold(a.lease)
	case a.x.creds.scheme != 0 && a.lease.Conn().Key().once:
		a.lease.Retire(pool.Reason(reasonPrivate))
	default:
		a.lease.Release()
	}
}
