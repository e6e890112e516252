package dialer

import (
	"slices"
	"time"
)

// timeWaitTime is how long a TIME_WAIT of Linux lasts: TCP_TIMEWAIT_LEN, which
// no setting changes, and the coarseness of the kernel's timers (61.2 s measured
// on 6.18). Only budgets and pauses rest on it. It is never by itself a reason to
// fail a dial.
const timeWaitTime = 61 * time.Second

// wait is a TIME_WAIT that a close of ours has left.
type wait struct {
	account *account
	port    uint16
	until   time.Duration
}

// waitLocked takes note of a TIME_WAIT. All last equally long, so they end in the
// order in which they began.
func (l *ledger) waitLocked(w wait) {
	l.waits = append(l.waits, w)
	if len(l.wakes) == 0 {
		l.wakeAtLocked(w.until, w.until-timeWaitTime)
	}
}

// expireLocked ends the TIME_WAITs whose time is up.
func (l *ledger) expireLocked(now time.Duration) {
	n := 0
	for n < len(l.waits) && l.waits[n].until <= now {
		w := l.waits[n]
		l.waits[n] = wait{}
		n++
		w.account.expiredLocked(w)
	}
	if l.waits = l.waits[n:]; len(l.waits) == 0 {
		l.waits = nil
	}
}

// wakeAtLocked sees that a timer runs that ends then or before. Timers are made
// anew, not set again: one that was made in a synctest bubble must not be touched
// outside of it.
func (l *ledger) wakeAtLocked(at, now time.Duration) {
	if n := len(l.wakes); n > 0 && l.wakes[n-1] <= at {
		return
	}
	l.wakes = append(l.wakes, at)
	time.AfterFunc(at-now, func() { l.wake(at) })
}

// wake is the timer's function. It ends TIME_WAITs that nobody's dial or close
// would end, so that their memory is given back, and lets those who wait for a
// port try again.
func (l *ledger) wake(at time.Duration) {
	now := l.lock()
	defer l.mu.Unlock()
	l.wakes = slices.DeleteFunc(l.wakes, func(w time.Duration) bool { return w == at })
	next, any := time.Duration(0), false
	for d := range l.waiting {
		d.probeLocked(now)
		if at, ok := d.nextLocked(now); ok && (!any || at < next) {
			next, any = at, true
		}
	}
	switch n := len(l.waits); {
	case n > 0 && any:
		next = min(next, l.waits[0].until)
	case n > 0:
		// With nobody waiting it is enough to look when the last one is over.
		next, any = l.waits[n-1].until, true
	}
	if any {
		l.wakeAtLocked(max(next, now+time.Millisecond), now)
	}
}
