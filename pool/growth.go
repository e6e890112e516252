package pool

import (
	"time"

	"github.com/stayopen-go/stayopen/internal/growth"
)

// wantsDialLocked reports whether o's waiters call for another dial and o's own
// limits allow it. Config.MaxTotal and Config.MaxDials are not o's.
func (o *origin[K, C]) wantsDialLocked() bool {
	wants := false
	if o.undialed.n == 0 || !o.mayDialLocked() {
		o.pace.Rest()
	} else {
		wants = o.pace.Weigh(growth.Queue{
			Waiting: o.waiters.n,
			Coming:  o.dialing - o.cancelled - o.slow,
			Open:    o.open,
			Leases:  o.leases,
			Slots:   o.slotsSeen,
			Eager:   o.pool.cfg.Eager,
		})
	}
	o.alarmLocked()
	return wants
}

// mayDialLocked reports whether o's limits allow another dial.
func (o *origin[K, C]) mayDialLocked() bool {
	return o.settling == 0 &&
		o.dialing-o.slow < o.dialLimitLocked() &&
		o.open-o.parked+o.dialing < o.pool.cfg.MaxPerKey
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
	left, at, set := o.pace.Alarm()
	switch {
	case !set:
		if o.alarmed {
			o.alarm.Stop()
			o.alarmed = false
		}
		return
	case o.alarmed && o.alarmAt <= at:
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
		o.pace.Count(p.now().mono, o.leases)
		p.kickLocked(o)
	}
	p.unlock()
}
