package model

import "time"

// dial is a dial under way.
type dial struct {
	origin *origin
	owner  *Request
	failed bool // it was known from the start that it does
	ended  bool
	slow   bool // it counts no more
	began  time.Duration
}

// want is an origin's place in the line of those that want a dial. It is given up
// by a change of the origin's ticket.
type want struct {
	origin *origin
	ticket uint64
}

// review draws the conclusions of what has happened to o: it starts the dials that
// its waiters call for. net/http starts one for each request that finds nothing
// idle, and it goes on whatever comes free.
func (p *pool) review(o *origin) {
	if !p.policy.weighs() {
		for r := o.nextUndialed(); r != nil; r = o.nextUndialed() {
			p.dial(o, r)
		}
		return
	}
	p.weigh(o)
	for p.wanting.len() > 0 && (p.policy.MaxDialsInAll <= 0 || p.counting < p.policy.MaxDialsInAll) {
		if next := p.wanting.pop(); next.ticket == next.origin.ticket {
			next.origin.ticket = 0
			p.dial(next.origin, next.origin.nextUndialed())
			p.weigh(next.origin)
		}
	}
	if o.idles() {
		o.forget()
	}
}

// dial starts a dial for r.
func (p *pool) dial(o *origin, r *Request) {
	r.dialed = true
	o.dialless--
	o.dialing++
	o.dials++
	p.counting++
	d := &dial{origin: o, owner: r, failed: r.refused(), began: p.now}
	if p.policy.weighs() {
		o.pace.DialBegan(p.now, o.leases)
	}
	if !d.failed {
		p.countOpened()
	}
	took := p.dialTime(o)
	p.plan(event{at: p.now + took, dial: d})
	if p.policy.weighs() && p.policy.SlowDial > 0 && took > p.policy.SlowDial {
		p.plan(event{at: p.now + p.policy.SlowDial, dial: d, slow: true})
	}
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
		p.counting--
		p.review(d.origin)
	}
}

// dialed ends d.
func (p *pool) dialed(d *dial) {
	o := d.origin
	d.ended = true
	o.dials--
	if !d.slow {
		o.dialing--
		p.counting--
	}
	if r := d.owner; r.state == waiting && p.policy.weighs() {
		o.undial(r)
	}
	switch {
	case d.failed:
		o.alone = false
	case d.owner.refused(): // which is known only now
		o.alone = false
		p.phantoms++
	default:
		p.open(d)
	}
	p.review(o)
}

// opened notes what d, which is a connection now, has taught.
func (p *pool) opened(d *dial) {
	if p.policy.weighs() {
		d.origin.alone = false
		d.origin.pace.Dialed(p.now - d.began)
		p.swell(d.origin)
	}
}
