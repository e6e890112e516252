package model

import "time"

// Counts is what a simulated pool has done.
type Counts struct {
	Requests uint64 // requests begun
	Opened   uint64 // connections dialed, those still on their way included; dials that fail are not
	Closed   uint64 // of these, how many were closed again or handed out by an upgrade
}

// pool is the simulated pool. Its clock is the time that every method gets.
type pool struct {
	policy Policy
	counts Counts
	now    time.Duration
	agenda agenda
	events uint64 // planned so far

	idle      idleList // HTTP/1
	idle2     idleList // HTTP/2 connections without a stream
	closeIdle bool     // CloseIdle was called, and nothing has begun since
	took      samples  // what dials took, over all keys

	counting int         // dials under way that count, of all keys
	wanting  queue[want] // origins that want a dial, those first that have waited longest
	tickets  uint64      // given out

	sweeper sweeper
	swollen []*origin     // that have more connections than are kept anyway, if there is an IdleWindow
	turned  time.Duration // when the current window of demand began
	tick    time.Duration // when to look for surplus next

	// phantoms were counted as opened before it was known that their dials fail.
	// A total must not fall: as many to come are not counted.
	phantoms uint64
}

// plan puts e on the agenda. What should have happened already happens now.
func (p *pool) plan(e event) {
	p.events++
	e.nth = p.events
	e.at = max(e.at, p.now)
	p.agenda.push(e)
}

// due reports whether the next event is due at the moment given.
func (p *pool) due(until time.Duration) bool { return len(p.agenda) > 0 && p.agenda[0].at <= until }

// pass lets time pass. net/http has a timer for each idle connection.
func (p *pool) pass(to time.Duration) {
	if p.policy.weighs() {
		p.sweepUntil(to)
	}
	p.now = max(p.now, to)
	if !p.policy.weighs() {
		p.expire()
	}
}

// expire closes what has been idle for too long.
func (p *pool) expire() {
	for _, l := range []*idleList{&p.idle, &p.idle2} {
		for c := l.oldest; c != nil && p.expired(c); c = l.oldest {
			p.unidle(c)
			p.close(c)
		}
	}
}

// expired reports whether c, which is idle, has been so for too long.
func (p *pool) expired(c *conn) bool {
	return p.policy.IdleTimeout > 0 && p.now-c.idle >= p.policy.IdleTimeout
}

// begin lets r begin: it takes the idle connection that was used last, or waits.
func (p *pool) begin(r *Request) {
	p.counts.Requests++
	p.closeIdle = false
	o := r.origin
	p.look(o)
	switch {
	case o.shared != nil:
		p.run(r, o.shared)
	case len(o.idle) > 0:
		p.run(r, o.idle[len(o.idle)-1])
	default:
		p.count(o)
		o.wait(r)
		if r.hadNone() {
			p.plan(event{at: r.at, ends: r})
		}
		p.review(o)
	}
}

// look sees that what o has idle may be used.
func (p *pool) look(o *origin) {
	if c := o.shared; c != nil && c.in != nil && p.expired(c) {
		p.unidle(c)
		p.close(c)
	}
	for len(o.idle) > 0 && p.expired(o.idle[len(o.idle)-1]) {
		c := o.idle[len(o.idle)-1]
		p.unidle(c)
		p.close(c)
	}
}

func (p *pool) countOpened() {
	if p.phantoms > 0 {
		p.phantoms--
		return
	}
	p.counts.Opened++
}

// open puts a new connection to use.
func (p *pool) open(d *dial) {
	o := d.origin
	o.open++
	p.opened(d)
	c := &conn{origin: o}
	switch {
	case o.http2:
		p.share(c)
	case !p.policy.weighs() && d.owner.state == waiting:
		p.run(d.owner, c)
	default:
		p.free(c)
	}
}

// share makes c the connection that everybody uses, unless there is one already.
func (p *pool) share(c *conn) {
	o := c.origin
	if o.shared != nil {
		p.close(c)
		return
	}
	o.shared = c
	for r := o.nextWaiter(); r != nil; r = o.nextWaiter() {
		p.run(r, c)
	}
	if c.streams == 0 {
		p.rest(c)
	}
}

// run lets r run on c.
func (p *pool) run(r *Request, c *conn) {
	o := c.origin
	if r.state == waiting {
		o.waitsNoMore(r)
	}
	if c.in != nil {
		p.unidle(c)
		o.demand.Note(o.open - len(o.idle))
	}
	p.count(o)
	o.leases++
	r.state, r.conn, r.start = running, c, p.now
	c.streams++
	if r.over {
		p.planEnd(r)
	}
}

// planEnd plans the end of r, which runs and of which all is known.
func (p *pool) planEnd(r *Request) {
	at := r.start + r.service
	if r.hadNone() {
		at = r.at // it ended then, whatever it had
	}
	p.plan(event{at: at, ends: r})
}

// end ends r.
func (p *pool) end(r *Request) {
	o, was := r.origin, r.state
	r.state = done
	switch was {
	case waiting:
		o.waitsNoMore(r)
	case running:
		c := r.conn
		r.conn = nil
		p.count(o)
		c.streams--
		o.leases--
		p.left(c, r)
	}
	p.review(o)
}

// left decides what becomes of c after r.
func (p *pool) left(c *conn, r *Request) {
	o := c.origin
	switch {
	case o.shared == c:
		if c.streams == 0 {
			p.rest(c)
		}
	case c.streams > 0: // HTTP/2, and no longer the origin's
	case o.http2: // it turned out to be HTTP/2 while it ran
		p.share(c)
	case r.fate(p.policy.Drain):
		c.served = true
		if p.policy.weighs() {
			o.pace.SlotFreed(p.now-r.start, o.open)
		}
		p.free(c)
	case r.refused() && !c.served: // nobody listens: there never was a connection
		p.phantoms++
		p.drop(o)
	default:
		p.close(c)
	}
}

// free gives c to whoever waits longest, or keeps it.
func (p *pool) free(c *conn) {
	o := c.origin
	if r := o.nextWaiter(); r != nil {
		p.run(r, c)
		return
	}
	if most := p.policy.MaxIdlePerKey; most > 0 && len(o.idle) >= most || p.closeIdle {
		p.close(c)
		return
	}
	o.idle = append(o.idle, c)
	p.idle.push(c, p.now)
	if most := p.policy.MaxIdle; most > 0 && p.idle.n > most {
		oldest := p.idle.oldest
		p.unidle(oldest)
		p.close(oldest)
	}
}

// rest notes that the shared connection c has no stream. net/http counts it
// among its MaxIdle but never closes it for that.
func (p *pool) rest(c *conn) {
	if p.closeIdle {
		p.close(c)
		return
	}
	p.idle2.push(c, p.now)
}

// unidle takes c out of the idle ones.
func (p *pool) unidle(c *conn) {
	o := c.origin
	if c.in == &p.idle {
		switch last := len(o.idle) - 1; c {
		case o.idle[last]: // it is taken into use
			o.idle[last] = nil
			o.idle = o.idle[:last]
		case o.idle[0]: // it has been idle for longest
			o.idle[0] = nil
			o.idle = o.idle[1:]
		default:
			panic("BUG: model: a connection leaves from among the idle ones")
		}
	}
	c.in.remove(c)
}

// close closes c, which is in no list.
func (p *pool) close(c *conn) {
	o := c.origin
	p.counts.Closed++
	p.drop(o)
	if o.shared == c {
		o.shared = nil
	}
}

// drop notes that o has one connection less.
func (p *pool) drop(o *origin) {
	o.open--
	p.unswell(o)
}

// closeAllIdle is CloseIdleConnections.
func (p *pool) closeAllIdle() {
	p.closeIdle = true
	for _, l := range []*idleList{&p.idle, &p.idle2} {
		for c := l.oldest; c != nil; c = l.oldest {
			p.unidle(c)
			p.close(c)
		}
	}
}

// learn takes in by which protocol o answers.
func (p *pool) learn(o *origin, http2 bool) {
	if o.http2 == http2 {
		return
	}
	o.http2 = http2
	if c := o.shared; c != nil { // http2 is false: the peer has changed its mind
		if c.in != nil {
			p.unidle(c)
			p.close(c)
		}
		o.shared = nil
	}
	for http2 && len(o.idle) > 0 {
		c := o.idle[len(o.idle)-1]
		p.unidle(c)
		p.share(c)
	}
	p.review(o)
	p.settle()
}
