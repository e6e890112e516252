package model

import (
	"time"

	"github.com/stayopen-go/stayopen/internal/growth"
)

// count brings o's account up to now, before the number of its leases changes.
func (p *pool) count(o *origin) {
	if p.policy.weighs() {
		o.pace.Count(p.now, o.leases)
	}
}

// weigh puts o in line for a dial if its waiters call for one.
func (p *pool) weigh(o *origin) {
	wants := false
	switch {
	case o.dialless == 0:
		o.skipServed()
		o.pace.Rest()
	case o.dialing >= p.dialLimit(o):
		o.pace.Rest()
	case o.http2: // one serves all
		o.pace.Rest()
		wants = o.shared == nil
	default:
		wants = o.pace.Weigh(growth.Queue{Waiting: o.waiting, Coming: o.dialing, Open: o.open, Leases: o.leases})
	}
	p.setAlarm(o)
	switch {
	case !wants:
		o.ticket = 0
	case o.ticket == 0:
		p.tickets++
		o.ticket = p.tickets
		p.wanting.push(want{o, o.ticket})
	}
}

// dialLimit is how many dials may count at once.
func (p *pool) dialLimit(o *origin) int {
	if o.alone || o.http2 {
		return 1
	}
	return p.policy.MaxDials
}

// alarm is when an origin is weighed again.
type alarm struct {
	set   bool
	at    time.Duration // when it was meant to ring
	rings time.Duration // when it does

	// planned is for when there is an event, the earliest one, if there is: an
	// alarm that is set for later meanwhile needs no other.
	planned time.Duration
	plan    bool
}

// setAlarm sees that o is weighed again when its debt is that of a dial. One that
// is set for too early is left alone, as package pool does.
func (p *pool) setAlarm(o *origin) {
	a := &o.alarm
	left, at, set := o.pace.Alarm()
	if !set {
		a.set = false
		return
	}
	if a.set && a.at <= at {
		return
	}
	a.set, a.at, a.rings = true, at, p.now+left
	p.planAlarm(o)
}

func (p *pool) planAlarm(o *origin) {
	a := &o.alarm
	if !a.plan || a.rings < a.planned {
		a.plan, a.planned = true, a.rings
		p.plan(event{at: a.rings, bell: o})
	}
}

// ring is called at a moment that was planned for o's alarm, to which it need not
// be set any more.
func (p *pool) ring(o *origin, at time.Duration) {
	a := &o.alarm
	if !a.plan || at != a.planned {
		return
	}
	a.plan = false
	switch {
	case !a.set:
	case a.rings > at:
		p.planAlarm(o)
	default:
		a.set = false
		p.count(o)
		p.review(o)
	}
}
