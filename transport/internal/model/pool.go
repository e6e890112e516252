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

	// phantoms were counted as opened before it was known that their dials fail.
	// A total must not fall: as many to come are not counted.
	phantoms uint64
}

// dial is a dial under way.
type dial struct {
	origin *origin
	owner  *Request
	failed bool // it was known from the start that it does
	ended  bool
	slow   bool // it counts no more
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

// pass lets time pass.
func (p *pool) pass(to time.Duration) {
	p.now = max(p.now, to)
	if p.policy.IdleTimeout <= 0 {
		return
	}
	for _, l := range []*idleList{&p.idle, &p.idle2} {
		for c := l.oldest; c != nil && p.now-c.idle >= p.policy.IdleTimeout; c = l.oldest {
			p.unidle(c)
			p.close(c)
		}
	}
}

// begin lets r begin: it takes the idle connection that was used last, or waits.
func (p *pool) begin(r *Request) {
	p.counts.Requests++
	p.closeIdle = false
	o := r.origin
	switch {
	case o.shared != nil:
		p.run(r, o.shared)
	case len(o.idle) > 0:
		c := o.idle[len(o.idle)-1]
		p.unidle(c)
		p.run(r, c)
	default:
		o.wait(r)
		if r.hadNone() {
			p.plan(event{at: r.at, ends: r})
		}
		p.startDials(o)
	}
}

// startDials starts the dials that o's waiters call for. net/http starts one for
// each request that finds nothing idle, and it goes on whatever comes free.
func (p *pool) startDials(o *origin) {
	for p.wantsDial(o) {
		r := o.nextUndialed()
		if r == nil {
			return
		}
		r.dialed = true
		o.dialing++
		o.dials++
		d := &dial{origin: o, owner: r, failed: r.refused()}
		if !d.failed {
			p.countOpened()
		}
		took := p.dialTime(o)
		p.plan(event{at: p.now + took, dial: d})
		if p.policy.capped() && p.policy.SlowDial > 0 && took > p.policy.SlowDial {
			p.plan(event{at: p.now + p.policy.SlowDial, dial: d, slow: true})
		}
	}
}

func (p *pool) wantsDial(o *origin) bool {
	switch {
	case !p.policy.capped():
		return true
	case o.http2: // one serves all
		return o.dialing == 0 && o.shared == nil && o.waiting > 0
	}
	return o.dialing < min(o.waiting, p.policy.MaxDials)
}

// dialTime is what a dial will take.
func (p *pool) dialTime(o *origin) time.Duration {
	took, ok := o.took.take()
	if !ok {
		took, _ = p.took.take()
	}
	return took
}

// slowed lets d hold nobody back any more.
func (p *pool) slowed(d *dial) {
	if !d.ended && !d.slow {
		d.slow = true
		d.origin.dialing--
		p.startDials(d.origin)
	}
}

// dialed ends d.
func (p *pool) dialed(d *dial) {
	o := d.origin
	d.ended = true
	o.dials--
	if !d.slow {
		o.dialing--
	}
	switch {
	case d.failed:
	case d.owner.refused(): // which is known only now
		p.phantoms++
	default:
		p.open(d)
	}
	p.startDials(o)
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
	c := &conn{origin: o}
	switch {
	case o.http2:
		p.share(c)
	case !p.policy.capped() && d.owner.state == waiting:
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
	if r.state == waiting {
		c.origin.waiting--
	}
	if c.in != nil {
		p.unidle(c)
	}
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
	was := r.state
	r.state = done
	switch was {
	case waiting:
		r.origin.waiting--
	case running:
		c := r.conn
		r.conn = nil
		c.streams--
		p.left(c, r)
	}
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
		p.free(c)
	case r.refused() && !c.served: // nobody listens: there never was a connection
		p.phantoms++
		o.open--
		p.startDials(o)
	default:
		p.close(c)
		p.startDials(o)
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
	p.counts.Closed++
	c.origin.open--
	if c.origin.shared == c {
		c.origin.shared = nil
	}
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
		return
	}
	for len(o.idle) > 0 {
		c := o.idle[len(o.idle)-1]
		p.unidle(c)
		p.share(c)
	}
}
