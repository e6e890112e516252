package dialer

import (
	"net/netip"
	"time"
)

// accountKey names what has local ports of its own towards one destination.
type accountKey struct {
	src netip.Addr // the zero Addr: whichever the kernel chooses
	// explicit is Dialer.ExplicitPorts, whose ports are others than those the
	// kernel chooses from; otherwise the zero range.
	explicit PortRange
}

// account is what one source has in use towards one destination. The ledger's
// mutex guards it.
type account struct {
	dest *dest
	key  accountKey

	pending int // attempts that have no port yet, or whose port is not known yet
	open    int // connections
	waits   int // TIME_WAITs of ours

	ports map[uint16]portUse // those that are in use

	views  []view // one for each PortRange that was dialed with, mostly a single one
	paused pause  // the kernel has found no port
	path   pause  // the kernel has found no way from here to there
	last   error  // what the kernel said when it found no port

	// Who has waited for a port and is given one has it only when the kernel has
	// found it, a moment later. Until then nobody else tries.
	granted int           // attempts of such who waited
	ours    time.Duration // until when it is theirs
	choice  *explicitPool // with ExplicitPorts
}

// portUse is what one port is in use for. Two connections can have the same one:
// that of the first is free from the moment at which the kernel is done with it,
// be that by the peer's RST, and not only when its Close has been counted here.
type portUse struct {
	open  int
	until time.Duration // when its TIME_WAIT is over; 0: there is none
}

// view is what an account has in use of one PortRange.
type view struct {
	ports       PortRange
	size        int // ports that the kernel can choose from
	open, waits int
}

// viewLocked finds or makes the account's view of the range that a dial wants,
// and brings its size up to date.
func (a *account) viewLocked(q *ask) *view {
	r := q.ports
	for i := range a.views {
		if v := &a.views[i]; v.ports == r {
			v.size = q.size
			return v
		}
	}
	a.views = append(a.views, view{ports: r, size: q.size})
	v := &a.views[len(a.views)-1]
	for p, use := range a.ports {
		if v.holds(p) {
			v.open += use.open
			v.waits += use.waits()
		}
	}
	return v
}

func (u portUse) waits() int {
	if u.until > 0 {
		return 1
	}
	return 0
}

// holds reports whether the view counts a port. One of an explicit range and one
// outside of the range that the kernel ignored for that reason are counted too.
func (v *view) holds(p uint16) bool {
	return v.ports == PortRange{} || v.ports.holds(p)
}

// usedLocked is how many ports of the view are, or are about to be, in use.
func (a *account) usedLocked(v *view) int { return a.pending + v.open + v.waits }

// fullPercent is the share of its ports from which on a source is chosen only if
// no other has room: what other processes use shows in the kernel's refusals
// only, and the search for one of the last ports is slower.
const fullPercent = 95

func (a *account) fullLocked(v *view) bool {
	used := a.usedLocked(v)
	if a.choice != nil {
		used += len(a.choice.others) - v.waits // which are no obstacle there
	}
	return 100*used >= fullPercent*v.size
}

// countLocked adds to the counts of those views that hold the port.
func (a *account) countLocked(p uint16, open, waits int) {
	a.open += open
	a.waits += waits
	a.dest.used += open + waits
	for i := range a.views {
		if v := &a.views[i]; v.holds(p) {
			v.open += open
			v.waits += waits
		}
	}
}

// leaseLocked counts one more attempt.
func (a *account) leaseLocked() *lease {
	a.pending++
	a.dest.used++
	return &lease{account: a, src: a.key.src}
}

// openedLocked turns an attempt into a connection on a port. The port may have
// been in a TIME_WAIT of ours: then the kernel has used it again
// (net.ipv4.tcp_tw_reuse).
func (a *account) openedLocked(p uint16) {
	if a.ports == nil {
		a.ports = make(map[uint16]portUse)
	}
	use := a.ports[p]
	a.countLocked(p, 1, -use.waits())
	a.ports[p] = portUse{open: use.open + 1}
	a.path.clear()
	a.resumeLocked() // there may be more ports
}

// resumeLocked ends the pause, first for who waits longest for a port.
func (a *account) resumeLocked() {
	if !a.paused.on() && !a.paused.counted && a.granted == 0 && len(a.dest.waiters) == 0 {
		return // as nearly always, and the time need not be asked for
	}
	now := a.dest.ledger.now()
	a.paused.clear()
	if a.dest.serveLocked(a, now) {
		a.ours = now + pausePorts.first // a connect has found a port, or none, long before
	}
	if a.granted > 0 && now < a.ours {
		a.paused.until, a.paused.step = a.ours, pausePorts.first
		a.wakeLocked(now)
	}
	a.noteRefusedLocked()
}

// wakeLocked sees that those who wait try again when the pause is over.
func (a *account) wakeLocked(now time.Duration) {
	if len(a.dest.waiters) > 0 {
		a.dest.ledger.wakeAtLocked(a.paused.until, now)
	}
}

// outLocked reports whether a dial that has not waited is to leave the account
// alone.
func (a *account) outLocked(now time.Duration) bool {
	return a.paused.holds(now) || a.paused.on() && a.dest.awaitedLocked(a)
}

// asideLocked reports whether the source could not use a port: it is not ours, or
// has no way there, as far as we know.
func (a *account) asideLocked(now time.Duration) bool {
	return a.path.holds(now) || a.dest.ledger.aside[a.key.src].holds(now)
}

// closedLocked ends a connection, with or without a TIME_WAIT. If another
// connection has its port by now, there is none.
func (a *account) closedLocked(p uint16, timeWait bool, now time.Duration) {
	use := a.ports[p]
	use.open--
	a.countLocked(p, -1, 0)
	if timeWait && use.open == 0 {
		a.countLocked(p, 0, 1-use.waits())
		use.until = now + timeWaitTime
		a.dest.ledger.waitLocked(wait{account: a, port: p, until: use.until})
	}
	a.setUseLocked(p, use)
	if !timeWait || a.choice != nil { // with explicit ports it can be used again at once
		a.freedLocked()
	}
}

func (a *account) setUseLocked(p uint16, use portUse) {
	if use == (portUse{}) {
		delete(a.ports, p)
		return
	}
	a.ports[p] = use
}

// expiredLocked ends a TIME_WAIT, unless the port is in use again.
func (a *account) expiredLocked(w wait) {
	use := a.ports[w.port]
	if use.until != w.until {
		return
	}
	use.until = 0
	a.setUseLocked(w.port, use)
	a.countLocked(w.port, 0, -1)
	a.freedLocked()
}

// freedLocked draws the conclusions of a port that came free: the kernel can be
// asked again.
func (a *account) freedLocked() {
	a.resumeLocked()
	if a.dest.used == 0 {
		a.dest.ledger.keepLocked(a.dest)
	}
}

// refuseLocked notes that the kernel found no port.
func (a *account) refuseLocked(err error, now time.Duration, probe bool) {
	a.last = err
	a.paused.begin(now, pausePorts, probe)
	a.noteRefusedLocked()
	a.wakeLocked(now)
}

// noteRefusedLocked keeps ledger.refused right.
func (a *account) noteRefusedLocked() {
	if a.key.src.IsValid() {
		return
	}
	if on := a.paused.on(); on != a.paused.counted {
		a.paused.counted = on
		if on {
			a.dest.ledger.refused.Add(1)
		} else {
			a.dest.ledger.refused.Add(-1)
		}
	}
}

// lease is one attempt, and then one connection, that is counted on an account.
// A nil lease counts nothing.
type lease struct {
	account *account
	src     netip.Addr
	port    uint16 // of the connection; with ExplicitPorts, of the attempt already
	state   leaseState
	probe   bool // there was a pause before
	granted bool // to who has waited

	forsaken bool    // its source is gone, and the attempt was ended for that
	flight   *flight // while it is an attempt and watched
}

// leaseState is guarded by the ledger's mutex.
type leaseState uint8

const (
	leasePending leaseState = iota
	leaseOpen
	leaseEnded
)

func (l *lease) ledger() *ledger { return l.account.dest.ledger }

// opened notes that the attempt has become a connection.
func (l *lease) opened(port uint16) {
	if l == nil {
		return
	}
	ledger := l.ledger()
	ledger.mu.Lock()
	defer ledger.mu.Unlock()
	if l.state != leasePending {
		return
	}
	l.leaveLocked()
	if !l.src.IsValid() { // the kernel has chosen: there was a port, and no more is known
		l.state = leaseEnded
		l.account.path.clear()
		l.account.freedLocked()
		return
	}
	l.port, l.state = port, leaseOpen
	l.account.openedLocked(port)
	delete(ledger.aside, l.src)
}

// leaveLocked takes a lease out of the count of attempts.
func (l *lease) leaveLocked() {
	a := l.account
	a.pending--
	a.dest.used--
	if l.granted {
		a.granted--
	}
	if l.flight != nil {
		l.ledger().arriveLocked(l.flight)
	}
}

// release ends the lease, once. An attempt leaves no TIME_WAIT.
func (l *lease) release(timeWait bool) {
	if l == nil {
		return
	}
	ledger := l.ledger()
	now := ledger.lock()
	defer ledger.mu.Unlock()
	l.endLocked(timeWait, now)
}

// lost ends the lease of a connection that was dropped without Close: package net
// has closed the socket, by a FIN if the peer's had not come.
func (l *lease) lost() { l.release(true) }

func (l *lease) endLocked(timeWait bool, now time.Duration) {
	a := l.account
	if l.state == leaseEnded {
		return
	}
	if a.choice != nil && l.port != 0 {
		a.choice.giveBack(l.port)
	}
	switch l.state {
	case leasePending:
		l.leaveLocked()
		a.freedLocked()
	case leaseOpen:
		a.closedLocked(l.port, timeWait, now)
	}
	l.state = leaseEnded
}

// refused ends an attempt for which the kernel had no port or no way, or whose
// source it did not know.
func (l *lease) refused(f fault, err error) {
	if l == nil {
		return
	}
	ledger := l.ledger()
	now := ledger.lock()
	defer ledger.mu.Unlock()
	if l.state != leasePending {
		return
	}
	a := l.account
	// Not by endLocked: nothing came free.
	l.state = leaseEnded
	l.leaveLocked()
	if a.choice != nil && l.port != 0 {
		_, ours := a.ports[l.port]
		a.choice.refused(l.port, ours, now)
	}
	switch f {
	case noPort:
		if a.choice == nil || !a.choice.left(now) {
			a.refuseLocked(err, now, l.probe)
		} else if l.granted {
			a.resumeLocked() // there are others, for who is next
		}
	case noWay:
		a.path.begin(now, pausePath, l.probe)
		a.dest.disappointLocked(now)
	case notOurs:
		ledger.setAsideLocked(l.src, now, l.probe)
		for d := range ledger.waiting {
			d.disappointLocked(now)
		}
	}
	if a.dest.used == 0 {
		ledger.keepLocked(a.dest)
	}
}

// setAsideLocked notes that a source is no address of this host.
func (l *ledger) setAsideLocked(src netip.Addr, now time.Duration, probe bool) {
	p := l.aside[src]
	if p == nil {
		if len(l.aside) >= maxEmpty {
			clear(l.aside) // of a large prefix that is not local; they are found out again
		}
		p = new(pause)
		l.aside[src] = p
	}
	p.begin(now, pauseSource, probe)
}
