package model

// origin is a key's share of the simulation.
type origin struct {
	http2  bool  // its responses come by HTTP/2
	shared *conn // the HTTP/2 connection, if one is open

	idle     []*conn         // HTTP/1, most recently used last
	waiters  queue[*Request] // oldest first; those that wait no more are skipped
	undialed queue[*Request] // of these, those that no dial was started for

	queued  int // requests begun and not simulated yet
	waiting int // in waiters and still waiting
	dialing int // dials under way that count
	open    int
	dials   int // dials under way

	took samples // what dials took
}

// empty reports whether nothing is left of o.
func (o *origin) empty() bool { return o.open+o.dials+o.waiting+o.queued == 0 }

// wait puts r at the end of the queue.
func (o *origin) wait(r *Request) {
	for o.waiters.len() > 0 && o.waiters.first().state != waiting {
		o.waiters.pop()
	}
	r.state = waiting
	o.waiting++
	o.waiters.push(r)
	o.undialed.push(r)
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

// nextUndialed is the oldest waiter that no dial was started for, or nil.
func (o *origin) nextUndialed() *Request {
	for o.undialed.len() > 0 {
		if r := o.undialed.pop(); r.state == waiting && !r.dialed {
			return r
		}
	}
	return nil
}
