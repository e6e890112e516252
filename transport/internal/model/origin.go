package model

import "github.com/stayopen-go/stayopen/internal/growth"

// origin is a key's share of the simulation.
type origin struct {
	http2    bool  // its responses come by HTTP/2
	shared   *conn // the HTTP/2 connection, if one is open
	mayShare bool  // see New

	idle     []*conn         // HTTP/1, most recently used last
	waiters  queue[*Request] // oldest first; those that wait no more are skipped
	undialed queue[*Request] // of these, those that have no dial, in the same way

	queued   int // requests begun and not simulated yet
	waiting  int // in waiters and still waiting
	dialless int // of waiting, those that have no dial
	dialing  int // dials under way that count
	open     int
	dials    int // dials under way
	leases   int // requests on connections

	took samples // what dials took

	// What follows is for policies that weigh dials.

	alone    bool   // one dial at a time
	numbered uint32 // requests that waited
	pace     growth.Pace
	alarm    alarm
	ticket   uint64 // its place in pool.wanting, 0: it has none

	demand  growth.Demand
	swollen int // where it is in pool.swollen, counted from 1; 0: not there
}

// empty reports whether nothing is left of o.
func (o *origin) empty() bool { return o.idles() && o.queued == 0 }

// idles reports whether o has nothing, whatever is queued.
func (o *origin) idles() bool { return o.open+o.dials+o.waiting == 0 }

// forget has o know nothing, as a key that comes to the pool.
func (o *origin) forget() {
	o.alone = o.mayShare
	o.pace = growth.Pace{}
	o.demand = growth.Demand{}
}

// wait puts r at the end of the queue.
func (o *origin) wait(r *Request) {
	for o.waiters.len() > 0 && o.waiters.first().state != waiting {
		o.waiters.pop()
	}
	o.skipServed()
	o.numbered++
	r.state, r.number = waiting, o.numbered
	o.waiting++
	o.dialless++
	o.waiters.push(r)
	o.undialed.push(r)
}

// waitsNoMore notes that r waits no more.
func (o *origin) waitsNoMore(r *Request) {
	o.waiting--
	if !r.dialed {
		o.dialless--
	}
}

// nextWaiter takes the oldest waiter out of the queue; nil: nobody waits.
func (o *origin) nextWaiter() *Request {
	for o.waiters.len() > 0 {
		if r := o.waiters.pop(); r.state == waiting {
			return r
		}
	}
	return nil
}

// skipServed forgets those at the head of undialed that were served without a dial.
func (o *origin) skipServed() {
	for o.undialed.len() > 0 && !o.undialed.first().lacksDial() {
		o.undialed.pop()
	}
}

// nextUndialed takes out the oldest waiter that has no dial, nil: there is none.
func (o *origin) nextUndialed() *Request {
	for o.undialed.len() > 0 {
		if r := o.undialed.pop(); r.lacksDial() {
			return r
		}
	}
	return nil
}

// undial notes that the dial of r, which still waits, has ended and served another.
// Few are older and without a dial: the search is short.
func (o *origin) undial(r *Request) {
	r.dialed = false
	o.dialless++
	o.undialed.pushFront(r)
	all := o.undialed.items[o.undialed.head:]
	for i := 1; i < len(all) && all[i].before(r); i++ {
		all[i-1], all[i] = all[i], r
	}
}
