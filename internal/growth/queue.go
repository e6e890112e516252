package growth

import "time"

// A waiter can wait for a dial or for a slot to come free. What is sooner is
// known for the queue as a whole: in the time of one dial so and so many slots
// come free, and whoever stands behind that needs a dial. That alone would never
// grow: where a slot comes back sooner than a dial is done, four workers would
// share one connection for ever. So waiting runs up a debt. One more connection
// would have spared the waiters about their number over that of the connections
// of each moment; when that adds up to the time of a dial, one is started.
//
// The same debt is what helps when slots do not come free as they used to.

const (
	// leastRate is the least debt of a moment in which somebody waits: nobody is
	// left without a dial for longer than four dials take.
	leastRate = 1.0 / 4

	// LeastAlarm is the least that Alarm returns.
	LeastAlarm = 100 * time.Microsecond
)

// Queue is those who wait for connections of one key, and what they wait for.
type Queue struct {
	Waiting int  // those who wait
	Coming  int  // dials under way that they can count on
	Open    int  // connections
	Leases  int  // leases that are out
	Slots   int  // leases that a connection offers at once; 0: not known, which counts as 1
	Eager   bool // a dial for each at once
}

// Weigh reports whether another dial is the sooner way to a connection for q, or
// has become the cheaper one. If not, q runs up a debt from now on, unless what is
// coming is enough for all.
func (p *Pace) Weigh(q Queue) (dial bool) {
	dial, p.rate = p.weigh(q)
	return dial
}

// Rest notes that no dial may begin, or that nobody waits for one: there is no
// debt to run up.
func (p *Pace) Rest() { p.rate = 0 }

func (p *Pace) weigh(q Queue) (dial bool, rate float64) {
	missing := q.dials(q.Waiting) - q.Coming
	if missing <= 0 {
		return false, 0
	}
	if q.Eager || !p.known() {
		return true, 0
	}
	late := q.Waiting - int(min(p.frees(q.Leases), float64(q.Waiting)))
	if q.Coming < q.dials(late) || p.debt >= p.dial {
		return true, 0
	}
	return false, max(leastRate, float64(missing)/float64(q.Open+q.Coming+1))
}

// dials is how many dials would serve so many waiters. It divides, since dials
// times slots could overflow: slots is a peer's word.
func (q Queue) dials(waiters int) int {
	if waiters == 0 {
		return 0
	}
	return (waiters-1)/max(1, q.Slots) + 1
}

// Alarm returns how long after the last Count the debt will be that of a dial, so
// that it is time to weigh again. There is none while none is run up.
func (p *Pace) Alarm() (left, at time.Duration, set bool) {
	if p.rate <= 0 {
		return 0, 0, false
	}
	left = max(LeastAlarm, time.Duration((p.dial-p.debt)/p.rate))
	return left, p.at + left, true
}
