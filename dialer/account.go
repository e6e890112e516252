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
	// control is the Dialer if it has a Control function of its own, and leaves
	// the source to the kernel: the function may have bound the socket to an
	// address, or to a device. Zero for all others.
	control uintptr
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

	views  []*view       // one for each PortRange that was dialed with, mostly a single one
	first  view          // the first of them
	path   pause         // the kernel has found no way from here to there
	choice *explicitPool // with ExplicitPorts
}

// portUse is what one port is in use for. Two connections can have the same one:
// that of the first is free from the moment at which the kernel is done with it,
// be that by the peer's RST, and not only when its Close has been counted here.
type portUse struct {
	open  int
	until time.Duration // when its TIME_WAIT is over; 0: there is none
}

func (u portUse) waits() int {
	if u.until > 0 {
		return 1
	}
	return 0
}

// countLocked adds to the counts of those views that hold the port.
func (a *account) countLocked(p uint16, open, waits int) {
	a.open += open
	a.waits += waits
	a.dest.used += open + waits
	for _, v := range a.views {
		if v.holds(p) {
			v.open += open
			v.waits += waits
		}
	}
}

// openedLocked turns an attempt into a connection on a port. The port may have
// been in a TIME_WAIT of ours: then the kernel has used it again
// (net.ipv4.tcp_tw_reuse).
func (a *account) openedLocked(p uint16, by *view) {
	if a.ports == nil {
		a.ports = make(map[uint16]portUse)
	}
	use := a.ports[p]
	a.countLocked(p, 1, -use.waits())
	a.ports[p] = portUse{open: use.open + 1}
	a.path.clear()
	a.resumeLocked(p, by) // there may be more ports
}

// resumeLocked ends the pauses of the ranges that a port is in, and that of the
// range it was dialed with, which the kernel may have ignored. With port 0 it ends
// all.
func (a *account) resumeLocked(p uint16, by *view) {
	for _, v := range a.views {
		if p == 0 || v == by || v.holds(p) {
			v.resumeLocked()
		}
	}
}

// asideLocked reports whether the source could not use a port: it is not ours, or
// has no way there, as far as we know.
func (a *account) asideLocked(now time.Duration) bool {
	return a.path.holds(now) || a.dest.ledger.aside[a.key.src].holds(now)
}

// closedLocked ends a connection, with or without a TIME_WAIT. If another
// connection has its port by now, there is none.
func (a *account) closedLocked(p uint16, by *view, timeWait bool, now time.Duration) {
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
		a.freedLocked(p, by)
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
	a.freedLocked(w.port, nil)
}

// freedLocked draws the conclusions of a port that came free: the kernel can be
// asked again. Port 0 is one that is not known.
func (a *account) freedLocked(p uint16, by *view) {
	a.resumeLocked(p, by)
	if a.dest.used == 0 {
		a.dest.ledger.keepLocked(a.dest)
	}
}

// lease is one attempt, and then one connection, that is counted on an account.
// A nil lease counts nothing.
type lease struct {
	account *account
	view    *view // of the range that it was dialed with
	src     netip.Addr
	port    uint16 // of the connection; with ExplicitPorts, of the attempt already
	state   leaseState
	probe   bool // there was a pause before
	granted bool // to who has waited
	suspect bool // its source has to be looked up before it is bound

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

// opened notes that the attempt has become a connection. It returns false if the
// attempt was given up before: its socket is or will be hung up.
func (l *lease) opened(port uint16) bool {
	if l == nil {
		return true
	}
	ledger := l.ledger()
	ledger.mu.Lock()
	defer ledger.mu.Unlock()
	switch {
	case l.forsaken:
		return false
	case l.state != leasePending:
		return true
	}
	l.leaveLocked()
	if !l.src.IsValid() { // the kernel has chosen: there was a port, and no more is known
		l.state = leaseEnded
		l.account.path.clear()
		l.account.freedLocked(port, l.view)
		return true
	}
	l.port, l.state = port, leaseOpen
	l.account.openedLocked(port, l.view)
	delete(ledger.aside, l.src)
	return true
}

// leaveLocked takes a lease out of the count of attempts.
func (l *lease) leaveLocked() {
	a := l.account
	a.pending--
	a.dest.used--
	if l.granted {
		l.view.granted--
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
		a.freedLocked(0, nil)
	case leaseOpen:
		a.closedLocked(l.port, l.view, timeWait, now)
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
			l.view.refuseLocked(err, now, l.probe)
		} else if l.granted {
			l.view.resumeLocked() // there are others, for who is next
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
