package dialer

import "time"

// view is one PortRange of an account: what is in use of it, and whether the
// kernel has ports left there. A range that has run out says nothing about the
// others.
type view struct {
	account     *account
	ports       PortRange
	size        int // ports that the kernel can choose from
	open, waits int

	paused pause // the kernel has found no port
	last   error // what it said then

	// Who has waited for a port and is given one has it only when the kernel has
	// found it, a moment later. Until then nobody else tries.
	granted int           // attempts of such who waited
	ours    time.Duration // until when it is theirs
}

// viewLocked finds or makes the account's view of the range that a dial wants,
// and brings its size up to date.
func (a *account) viewLocked(q *ask) *view {
	for _, v := range a.views {
		if v.ports == q.ports {
			v.size = q.size
			return v
		}
	}
	v := &a.first
	if len(a.views) > 0 {
		v = new(view)
	}
	*v = view{account: a, ports: q.ports, size: q.size}
	a.views = append(a.views, v)
	for p, use := range a.ports {
		if v.holds(p) {
			v.open += use.open
			v.waits += use.waits()
		}
	}
	return v
}

// holds reports whether the view counts a port. One of an explicit range and one
// outside of the range that the kernel ignored for that reason are counted too.
func (v *view) holds(p uint16) bool {
	return v.ports == PortRange{} || v.ports.holds(p)
}

// usedLocked is how many ports of the view are, or are about to be, in use.
func (v *view) usedLocked() int { return v.account.pending + v.open + v.waits }

// fullPercent is the share of its ports from which on a source is chosen only if
// no other has room: what other processes use shows in the kernel's refusals
// only, and the search for one of the last ports is slower.
const fullPercent = 95

func (v *view) fullLocked() bool {
	used := v.usedLocked()
	if choice := v.account.choice; choice != nil {
		used += len(choice.others) - v.waits // which are no obstacle there
	}
	return 100*used >= fullPercent*v.size
}

// leaseLocked counts one more attempt.
func (v *view) leaseLocked() *lease {
	a := v.account
	a.pending++
	a.dest.used++
	return &lease{account: a, view: v, src: a.key.src}
}

// resumeLocked ends the pause, first for who waits longest for a port.
func (v *view) resumeLocked() {
	d := v.account.dest
	if !v.paused.on() && !v.paused.counted && v.granted == 0 && len(d.waiters) == 0 {
		return // as nearly always, and the time need not be asked for
	}
	now := d.ledger.now()
	v.paused.clear()
	if d.serveLocked(v, now) {
		v.ours = now + pausePorts.first // a connect has found a port, or none, long before
	}
	if v.granted > 0 && now < v.ours {
		v.paused.until, v.paused.step = v.ours, pausePorts.first
		v.wakeLocked(now)
	}
	v.noteRefusedLocked()
}

// wakeLocked sees that those who wait try again when the pause is over.
func (v *view) wakeLocked(now time.Duration) {
	if d := v.account.dest; len(d.waiters) > 0 {
		d.ledger.wakeAtLocked(v.paused.until, now)
	}
}

// outLocked reports whether a dial that has not waited is to leave the view
// alone.
func (v *view) outLocked(now time.Duration) bool {
	return v.paused.holds(now) || v.paused.on() && v.account.dest.awaitedLocked(v)
}

// refuseLocked notes that the kernel found no port.
func (v *view) refuseLocked(err error, now time.Duration, probe bool) {
	v.last = err
	v.paused.begin(now, pausePorts, probe)
	v.noteRefusedLocked()
	v.wakeLocked(now)
}

// noteRefusedLocked keeps ledger.refused right.
func (v *view) noteRefusedLocked() {
	if v.account.key.src.IsValid() {
		return
	}
	if on := v.paused.on(); on != v.paused.counted {
		v.paused.counted = on
		if on {
			v.account.dest.ledger.refused.Add(1)
		} else {
			v.account.dest.ledger.refused.Add(-1)
		}
	}
}

// forgetPausesLocked is for an account that is forgotten.
func (a *account) forgetPausesLocked() {
	for _, v := range a.views {
		v.paused.clear()
		v.noteRefusedLocked()
	}
}
