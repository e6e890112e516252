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
	size     int          // how many ports that is for each source
	key      string       // the sticky key, if the chooser wants it
	tried    []netip.Addr // sources that failed
}

// accepts reports whether a lease on the account would do.
func (q *ask) accepts(a *account) bool {
	switch {
	case a.key.explicit != q.explicit:
		return false
	case len(q.from) == 0:
		return !a.key.src.IsValid()
	}
	return q.from.contain(a.key.src)
}

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
	switch q.chooser.(type) {
	case nil, MostRoom:
		now := l.lock()
		defer l.mu.Unlock()
		lease, o := l.chooseLocked(q, now)
		return lease, o, nil
	}
	return l.chooseBy(ctx, q)
}

// chooseBy asks a Chooser, outside of the lock.
func (l *ledger) chooseBy(ctx context.Context, q *ask) (*lease, outcome, error) {
	now := l.lock()
	from, o := l.candidatesLocked(q, now, nil)
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
	from, o := l.candidatesLocked(q, now, l.scratch[:0])
	l.scratch = from[:0]
	if o != chosen {
		return nil, o
	}
	turn := l.turnLocked(q.dst)
	i := mostRoom(from, *turn%len(from))
	*turn = i + 1
	if lease := l.takeLocked(q, from[i].Source, now); lease != nil {
		return lease, chosen
	}
	return nil, outOfPorts
}

// unboundLocked is chooseLocked where the kernel chooses the source.
func (l *ledger) unboundLocked(q *ask, now time.Duration) (*lease, outcome) {
	a := l.destLocked(q.dst).accountLocked(accountKey{})
	if a.outLocked(now) && !a.asideLocked(now) {
		return nil, outOfPorts
	}
	return a.takeLocked(q, now), chosen
}

// candidatesLocked collects the sources of the best tier there is.
func (l *ledger) candidatesLocked(q *ask, now time.Duration, into []Budget) ([]Budget, outcome) {
	d := l.dests[q.dst]
	best, out := tierOut, false
	for src := range q.from.candidates(q.dst.Addr().Is6(), q.tried, q.key) {
		b, t := l.judgeLocked(q, d, src, now)
		out = out || t == tierOut
		switch {
		case t == tierOut, t > best:
			continue
		case t < best:
			best, into = t, into[:0]
		}
		into = append(into, b)
	}
	switch {
	case out && best >= tierAside:
		return into, outOfPorts
	case len(into) == 0:
		return into, noneLeft
	}
	return into, chosen
}

// judgeLocked says how well a source would do.
func (l *ledger) judgeLocked(q *ask, d *dest, src netip.Addr, now time.Duration) (Budget, tier) {
	var a *account
	if d != nil {
		a = d.accounts[accountKey{src, q.explicit}]
	}
	if a == nil {
		b := Budget{Source: src, Destination: q.dst, Size: q.size}
		if l.aside[src].holds(now) {
			return b, tierAside
		}
		return b, tierRoom
	}
	v := a.viewLocked(q)
	b := a.budgetLocked(v, now)
	switch {
	case a.asideLocked(now): // be it out of ports as well: nobody shall wait for one of those
		return b, tierAside
	case a.outLocked(now):
		return b, tierOut
	case a.fullLocked(v):
		return b, tierFull
	}
	return b, tierRoom
}

// takeLocked counts an attempt on the source.
func (l *ledger) takeLocked(q *ask, src netip.Addr, now time.Duration) *lease {
	return l.destLocked(q.dst).accountLocked(accountKey{src, q.explicit}).takeLocked(q, now)
}

// takeLocked counts an attempt on the account. It returns nil if ports are
// explicit and none is free.
func (a *account) takeLocked(q *ask, now time.Duration) *lease {
	a.viewLocked(q)
	var port uint16
	if q.explicit != (PortRange{}) {
		if a.choice == nil {
			a.choice = newExplicitPool(q.explicit)
		}
		var ok bool
		if port, ok = a.choice.take(now); !ok {
			a.refuseLocked(errPortsInUse, now, false)
			return nil
		}
	}
	lease := a.leaseLocked()
	lease.port = port
	// All are asked.
	ports, path, aside := a.paused.probe(now), a.path.probe(now), a.dest.ledger.aside[a.key.src].probe(now)
	lease.probe = ports || path || aside
	return lease
}

// refuse notes that the kernel, left to choose the source, found no port.
func (l *ledger) refuse(q *ask, err error) {
	now := l.lock()
	defer l.mu.Unlock()
	a := l.destLocked(q.dst).accountLocked(accountKey{})
	a.viewLocked(q)
	a.refuseLocked(err, now, false)
}

// freed notes that a connection whose source the kernel chose is closed.
func (l *ledger) freed(peer net.Addr) {
	tcp, ok := peer.(*net.TCPAddr)
	if !ok || l.refused.Load() == 0 {
		return
	}
	dst := tcp.AddrPort()
	dst = netip.AddrPortFrom(dst.Addr().Unmap(), dst.Port())
	l.lock()
	defer l.mu.Unlock()
	if d := l.dests[dst]; d != nil && d.accounts[accountKey{}] != nil {
		d.accounts[accountKey{}].freedLocked()
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
		if !q.accepts(a) || !a.paused.on() && !slices.Contains(q.tried, key.src) {
			continue
		}
		v := a.viewLocked(q)
		e.InUse += a.pending + v.open
		e.TimeWait += v.waits
		e.Ports += v.size
		if key.src.IsValid() {
			e.Sources = append(e.Sources, key.src)
		}
		if a.last != nil {
			e.Err = a.last
		}
	}
	slices.SortFunc(e.Sources, netip.Addr.Compare)
	return e
}
