package dialer

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"time"
)

// ask is what a dial wants for one of its addresses: a port on some source.
type ask struct {
	dst      netip.AddrPort
	from     sources // empty: the kernel chooses
	chooser  Chooser // nil: MostRoom
	ports    PortRange
	explicit PortRange
	control  uintptr      // the Dialer, as accountKey has it
	size     int          // how many ports that is for each source
	key      string       // the sticky key, if the chooser wants it
	tried    []netip.Addr // sources that failed; not changed while there is a lease
	flight   *flight      // of the attempt; nil: it is not watched
}

// accepts reports whether a lease on the account would do.
func (q *ask) accepts(a *account) bool {
	switch {
	case a.key.explicit != q.explicit:
		return false
	case len(q.from) == 0:
		return a.key == q.unbound()
	}
	return q.from.contain(a.key.src)
}

// unbound is that of the account where the kernel chooses the source.
func (q *ask) unbound() accountKey { return accountKey{control: q.control} }

// outcome is what became of an ask.
type outcome uint8

const (
	chosen     outcome = iota
	noneLeft           // there is no source that was not tried
	outOfPorts         // there are, and the kernel has just said that they have no port
)

// tier is how well a source would do. Only the best there are can be chosen.
type tier uint8

const (
	tierRoom  tier = iota
	tierFull       // nearly full
	tierAside      // not ours, or without a way there, when we last looked
	tierOut        // the kernel had no port, or who waits for one comes first
)

// choose finds a source and counts an attempt on it. The lease is nil if the
// kernel is to choose and has not refused to lately, and if there is none.
func (l *ledger) choose(ctx context.Context, q *ask) (*lease, outcome, error) {
	if len(q.from) == 0 && l.refused.Load() == 0 {
		return nil, chosen, nil
	}
	if !q.byRoom() {
		return l.chooseBy(ctx, q)
	}
	now := l.lock()
	defer l.mu.Unlock()
	lease, o := l.chooseLocked(q, now)
	return lease, o, nil
}

// byRoom reports whether the chooser is MostRoom, or does as it does.
func (q *ask) byRoom() bool {
	switch q.chooser.(type) {
	case nil, MostRoom:
		return true
	case Sticky:
		return q.key == ""
	}
	return false
}

// chooseBy asks a Chooser, outside of the lock.
func (l *ledger) chooseBy(ctx context.Context, q *ask) (*lease, outcome, error) {
	now := l.lock()
	from, o := l.candidatesLocked(q, now)
	l.mu.Unlock()
	if o != chosen {
		return nil, o, nil
	}
	i := q.chooser.Choose(ctx, q.dst, from)
	if i < 0 || i >= len(from) {
		return nil, noneLeft, &chooserError{q.chooser, i, len(from)}
	}
	l.lock()
	defer l.mu.Unlock()
	lease := l.takeLocked(q, from[i].Source, now)
	if lease == nil {
		return nil, outOfPorts, nil
	}
	return lease, chosen, nil
}

// chooseLocked is choose by MostRoom, with equals taking turns.
func (l *ledger) chooseLocked(q *ask, now time.Duration) (*lease, outcome) {
	if len(q.from) == 0 {
		return l.unboundLocked(q, now)
	}
	src, o := l.mostRoomLocked(q, now)
	if o != chosen {
		return nil, o
	}
	if lease := l.takeLocked(q, src, now); lease != nil {
		return lease, chosen
	}
	return nil, outOfPorts
}

// mostRoomLocked is the first of the sources with the most room, of the best tier
// there is, from the one on whose turn it is.
func (l *ledger) mostRoomLocked(q *ask, now time.Duration) (best netip.Addr, o outcome) {
	d, turn := l.dests[q.dst], l.turnLocked(q.dst)
	var t tiers
	most, next := 0, *turn
	for place, src := range q.from.inTurn(q.dst.Addr().Is6(), q.tried, q.key, *turn) {
		a, v, its := l.judgeLocked(q, d, place, src, now)
		room := a.roomLocked(v, q)
		better, level := t.add(its)
		if better || level && room > most {
			best, most, next = src, room, place+1
		}
		if its == tierRoom && room == q.size {
			break // nothing in use: no other has more room
		}
	}
	*turn = next
	return best, t.outcome()
}

// unboundLocked is chooseLocked where the kernel chooses the source.
func (l *ledger) unboundLocked(q *ask, now time.Duration) (*lease, outcome) {
	a := l.destLocked(q.dst).accountLocked(q.unbound())
	if a.viewLocked(q).outLocked(now) && !a.asideLocked(now) {
		return nil, outOfPorts
	}
	return a.takeLocked(q, now), chosen
}

// tiers are those of the sources looked at so far.
type tiers struct {
	best tier
	out  bool // some are out of ports
	any  bool // some could be chosen
}

// add takes note of a source's tier, and says whether the source is better than
// all before, or level with the best of them.
func (t *tiers) add(its tier) (better, level bool) {
	if its == tierOut {
		t.out = true
		return false, false
	}
	better, level = !t.any || its < t.best, t.any && its == t.best
	if better {
		t.best, t.any = its, true
	}
	return better, level
}

func (t *tiers) outcome() outcome {
	switch {
	case t.out && (!t.any || t.best >= tierAside):
		return outOfPorts
	case !t.any:
		return noneLeft
	}
	return chosen
}

// candidatesLocked collects the sources of the best tier there is.
func (l *ledger) candidatesLocked(q *ask, now time.Duration) ([]Budget, outcome) {
	d := l.dests[q.dst]
	var from []Budget
	var t tiers
	for place, src := range q.from.inTurn(q.dst.Addr().Is6(), q.tried, q.key, 0) {
		a, v, its := l.judgeLocked(q, d, place, src, now)
		better, level := t.add(its)
		if better {
			from = from[:0]
		}
		if !better && !level {
			continue
		}
		b := Budget{Source: src, Destination: q.dst, Size: q.size}
		if a != nil {
			b = a.budgetLocked(v, now)
		}
		from = append(from, b)
	}
	return from, t.outcome()
}

// judgeLocked says how well the source at a place would do, and finds its account
// and view, if it has any.
func (l *ledger) judgeLocked(q *ask, d *dest, place int, src netip.Addr, now time.Duration) (*account, *view, tier) {
	a := d.atLocked(place, accountKey{src: src, explicit: q.explicit})
	if a == nil {
		if l.aside[src].holds(now) {
			return nil, nil, tierAside
		}
		return nil, nil, tierRoom
	}
	v := a.viewLocked(q)
	switch {
	case a.asideLocked(now): // be it out of ports as well: nobody shall wait for one of those
		return a, v, tierAside
	case v.outLocked(now):
		return a, v, tierOut
	case v.fullLocked():
		return a, v, tierFull
	}
	return a, v, tierRoom
}

// roomLocked is how many ports are left for the ask on its view of the account,
// which is nil while nothing is in use.
func (a *account) roomLocked(v *view, q *ask) int {
	if a == nil {
		return q.size
	}
	return max(v.size-v.usedLocked(), 0)
}

// takeLocked counts an attempt on the source.
func (l *ledger) takeLocked(q *ask, src netip.Addr, now time.Duration) *lease {
	return l.destLocked(q.dst).accountLocked(accountKey{src: src, explicit: q.explicit}).takeLocked(q, now)
}

// takeLocked counts an attempt on the account. It returns nil if ports are
// explicit and none is free.
func (a *account) takeLocked(q *ask, now time.Duration) *lease {
	v := a.viewLocked(q)
	var port uint16
	if q.explicit != (PortRange{}) {
		if a.choice == nil {
			a.choice = newExplicitPool(q.explicit)
		}
		var ok bool
		if port, ok = a.choice.take(now); !ok {
			v.refuseLocked(errPortsInUse, now, false)
			return nil
		}
	}
	lease := v.leaseLocked()
	lease.port = port
	// All are asked.
	ports, path, aside := v.paused.probe(now), a.path.probe(now), a.dest.ledger.aside[a.key.src].probe(now)
	lease.probe = ports || path || aside
	a.dest.ledger.departLocked(q, lease, now)
	return lease
}

// refuse notes that the kernel, left to choose the source, found no port.
func (l *ledger) refuse(q *ask, err error) {
	now := l.lock()
	defer l.mu.Unlock()
	a := l.destLocked(q.dst).accountLocked(q.unbound())
	a.viewLocked(q).refuseLocked(err, now, false)
}

// freed notes that a connection whose source the kernel chose is closed.
func (l *ledger) freed(peer net.Addr) {
	if l.refused.Load() == 0 {
		return
	}
	tcp, ok := peer.(*net.TCPAddr)
	if !ok {
		return
	}
	dst := tcp.AddrPort()
	dst = netip.AddrPortFrom(dst.Addr().Unmap(), dst.Port())
	l.lock()
	defer l.mu.Unlock()
	d := l.dests[dst]
	if d == nil {
		return
	}
	for key, a := range d.accounts {
		if !key.src.IsValid() {
			a.freedLocked(0, nil)
		}
	}
}

// exhausted is the error for an ask that no source had a port for.
func (l *ledger) exhausted(q *ask) *ExhaustedError {
	l.lock()
	defer l.mu.Unlock()
	e := &ExhaustedError{Destination: q.dst, Range: q.explicit, Err: errNoPort}
	if q.explicit == (PortRange{}) {
		e.Range = ephemeralPorts().narrowed(q.ports)
	}
	d := l.dests[q.dst]
	if d == nil {
		return e
	}
	for key, a := range d.accounts {
		if !q.accepts(a) {
			continue
		}
		v := a.viewLocked(q)
		if !v.paused.on() && !slices.Contains(q.tried, key.src) {
			continue
		}
		e.InUse += a.pending + v.open
		e.TimeWait += v.waits
		e.Ports += v.size
		if key.src.IsValid() {
			e.Sources = append(e.Sources, key.src)
		}
		if v.last != nil {
			e.Err = v.last
		}
	}
	slices.SortFunc(e.Sources, netip.Addr.Compare)
	return e
}
