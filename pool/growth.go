package pool

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

	// leastAlarm bounds how often an origin's timer rings.
	leastAlarm = 100 * time.Microsecond
)

// wantsDialLocked reports whether o's waiters call for another dial and o's own
// limits allow it. Config.MaxTotal and Config.MaxDials are not o's.
func (o *origin[K, C]) wantsDialLocked() bool {
	wants, rate := o.weighLocked()
	o.pace.rate = rate
	if rate > 0 {
		o.alarmLocked()
	} else if o.alarmed {
		o.alarm.Stop()
		o.alarmed = false
	}
	return wants
}

// weighLocked reports whether a dial is the sooner way to a connection, or has
// become the cheaper one. If not, it returns the debt that waiting runs up.
func (o *origin[K, C]) weighLocked() (wants bool, rate float64) {
	if o.undialed.n == 0 || !o.mayDialLocked() {
		return false, 0
	}
	coming := o.dialing - o.cancelled - o.slow
	missing := o.dialsForLocked(o.waiters.n) - coming
	if missing <= 0 {
		return false, 0
	}
	if o.pool.cfg.Eager || !o.pace.known() {
		return true, 0
	}
	late := o.waiters.n - int(min(o.pace.frees(o.leases), float64(o.waiters.n)))
	if coming < o.dialsForLocked(late) || o.pace.debt >= o.pace.dial {
		return true, 0
	}
	return false, max(leastRate, float64(missing)/float64(o.open+coming+1))
}

// mayDialLocked reports whether o's limits allow another dial.
func (o *origin[K, C]) mayDialLocked() bool {
	return o.settling == 0 &&
		o.dialing-o.slow < o.dialLimitLocked() &&
		o.open-o.parked+o.dialing < o.pool.cfg.MaxPerKey
}

// dialsForLocked is how many dials would serve so many waiters. It divides, since
// dials times slots could overflow: slots is a peer's word.
func (o *origin[K, C]) dialsForLocked(waiters int) int {
	if waiters == 0 {
		return 0
	}
	return (waiters-1)/max(1, o.slotsSeen) + 1
}

func (o *origin[K, C]) dialLimitLocked() int {
	if o.alone && o.slotsSeen == 0 {
		return 1
	}
	return o.pool.cfg.MaxDialsPerKey
}

// alarmLocked sees that o is weighed again when its debt is that of a dial. An
// alarm that is set for too early is left alone: it is set anew when it rings.
func (o *origin[K, C]) alarmLocked() {
	left := max(leastAlarm, time.Duration((o.pace.dial-o.pace.debt)/o.pace.rate))
	at := o.pace.at + left
	if o.alarmed && o.alarmAt <= at {
		return
	}
	o.alarmed, o.alarmAt = true, at
	if o.alarm == nil {
		o.alarm = time.AfterFunc(left, o.ring)
	} else {
		o.alarm.Reset(left)
	}
}

// ring is the alarm's function.
func (o *origin[K, C]) ring() {
	p := o.pool
	p.mu.Lock()
	if o.alarmed {
		o.alarmed = false
		o.pace.count(p.now().mono, o.leases)
		p.kickLocked(o)
	}
	p.unlock()
}
