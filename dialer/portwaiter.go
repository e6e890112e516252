package dialer

import (
	"context"
	"iter"
	"slices"
	"time"
)

// portWaiter is a dial that waits for a local port (Dialer.WaitForPort), perhaps
// towards several addresses of its host. The ledger's mutex guards it.
type portWaiter struct {
	ticket uint64 // the lowest has waited longest
	asks   []*ask // what would do
	served bool
	got    chan grant // holds one; never closed
}

// grant is what a waiter is given: a lease, and which of its asks it answers.
type grant struct {
	lease *lease
	ask   int
}

// await returns a lease for one of the asks as soon as there is one that the
// kernel may have a port for. ticket is that of an earlier wait of the same dial,
// or zero. It fails with ctx's cause.
func (l *ledger) await(ctx context.Context, asks []*ask, ticket *uint64) (grant, error) {
	w := &portWaiter{asks: asks, got: make(chan grant, 1)}
	if g := l.enqueue(w, ticket); g.lease != nil {
		return g, nil
	}
	select {
	case g := <-w.got:
		return g, nil
	case <-ctx.Done():
	}
	l.leave(w)
	return grant{}, context.Cause(ctx)
}

// enqueue puts the waiter in line, unless there is a port by now.
func (l *ledger) enqueue(w *portWaiter, ticket *uint64) grant {
	now := l.lock()
	defer l.mu.Unlock()
	for i, q := range w.asks {
		if lease, _ := l.chooseLocked(q, now); lease != nil {
			return grant{lease, i}
		}
	}
	if *ticket == 0 {
		l.tickets++
		*ticket = l.tickets
	}
	w.ticket = *ticket
	for _, q := range w.asks {
		d := l.destLocked(q.dst)
		i, _ := slices.BinarySearchFunc(d.waiters, w, func(a, b *portWaiter) int { return int(int64(a.ticket - b.ticket)) })
		d.waiters = slices.Insert(d.waiters, i, w)
		l.waiting[d] = struct{}{}
		if at, ok := d.nextLocked(0); ok {
			l.wakeAtLocked(max(at, now), now)
		}
	}
	if len(l.waits) > 0 {
		l.wakeAtLocked(l.waits[0].until, now)
	}
	return grant{}
}

// leave takes the waiter out of the line, and gives back what it was handed at
// the last moment.
func (l *ledger) leave(w *portWaiter) {
	now := l.lock()
	defer l.mu.Unlock()
	l.removeLocked(w)
	select {
	case g := <-w.got:
		g.lease.endLocked(false, now)
	default:
	}
}

func (l *ledger) removeLocked(w *portWaiter) {
	w.served = true
	for _, q := range w.asks {
		d := l.dests[q.dst]
		if d == nil {
			continue
		}
		d.waiters = slices.DeleteFunc(d.waiters, func(o *portWaiter) bool { return o == w })
		if len(d.waiters) == 0 {
			d.waiters = nil
			delete(l.waiting, d)
			if d.used == 0 {
				l.keepLocked(d) // it may have been passed over for its waiters
			}
		}
	}
}

// serveLocked gives the view's next port to who waits longest for one there, and
// reports whether somebody did. A source that could not use it gets none.
func (d *dest) serveLocked(v *view, now time.Duration) bool {
	if len(d.waiters) == 0 || v.account.asideLocked(now) {
		return false
	}
	for _, w := range d.waiters {
		if i := w.wants(v); i >= 0 {
			if lease := v.account.takeLocked(w.asks[i], now); lease != nil {
				d.ledger.grantLocked(w, grant{lease, i})
				return true
			}
		}
	}
	return false
}

// wants is the first of the asks that a lease on the view would answer, or -1.
func (w *portWaiter) wants(v *view) int {
	return slices.IndexFunc(w.asks, func(q *ask) bool {
		return q.dst == v.account.dest.addr && q.ports == v.ports && q.accepts(v.account)
	})
}

// awaitedLocked reports whether somebody waits for a port of the view.
func (d *dest) awaitedLocked(v *view) bool {
	return slices.ContainsFunc(d.waiters, func(w *portWaiter) bool { return w.wants(v) >= 0 })
}

func (l *ledger) grantLocked(w *portWaiter, g grant) {
	g.lease.granted = true
	g.lease.view.granted++
	l.removeLocked(w)
	w.got <- g
}

// disappointLocked has those try at once who wait for ports of sources alone that
// could not use them: what the kernel says to that is better than to wait.
func (d *dest) disappointLocked(now time.Duration) {
	for _, w := range slices.Clone(d.waiters) {
		if slices.ContainsFunc(w.asks, func(q *ask) bool { return d.ledger.hopefulLocked(q, now) }) {
			continue
		}
		for i, q := range w.asks {
			if lease, _ := d.ledger.chooseLocked(q, now); lease != nil {
				d.ledger.grantLocked(w, grant{lease, i})
				break
			}
		}
	}
}

// hopefulLocked reports whether some source could use a port if it had one.
func (l *ledger) hopefulLocked(q *ask, now time.Duration) bool {
	d := l.destLocked(q.dst)
	if len(q.from) == 0 {
		return !d.accountLocked(q.unbound()).asideLocked(now)
	}
	for place, src := range q.from.inTurn(q.dst.Addr().Is6(), nil, q.key, 0) {
		if _, _, t := l.judgeLocked(q, d, place, src, now); t != tierAside {
			return true
		}
	}
	return false
}

// probeLocked lets one waiter try each view whose pause is over.
func (d *dest) probeLocked(now time.Duration) {
	for v := range d.views() {
		switch {
		case !v.paused.on() || v.paused.holds(now):
		case v.account.asideLocked(now):
			d.disappointLocked(now)
		default:
			d.serveLocked(v, now)
		}
	}
}

// nextLocked is when the next pause of a view ends, of those that end later.
func (d *dest) nextLocked(than time.Duration) (at time.Duration, ok bool) {
	for v := range d.views() {
		if v.paused.on() && v.paused.until > than && (!ok || v.paused.until < at) {
			at, ok = v.paused.until, true
		}
	}
	return at, ok
}

// views goes through those of all accounts.
func (d *dest) views() iter.Seq[*view] {
	return func(yield func(*view) bool) {
		for _, a := range d.accounts {
			for _, v := range a.views {
				if !yield(v) {
					return
				}
			}
		}
	}
}
