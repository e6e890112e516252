package pool

import (
	"context"
	"sync/atomic"
	"time"
)

// waiter is a Get that found no free slot. The pool's mutex guards it, except
// that its Get reads lease and err after ready was closed.
type waiter[K comparable, C any] struct {
	origin *origin[K, C]
	ctx    context.Context
	number uint64        // counts up over the pool's life
	since  time.Duration // when it began to wait, on the monotonic clock
	dial   *dial[K, C]   // the dial that it caused and that still runs, if any

	// deadline is the context's, on the monotonic clock; 0: none, or not asked for
	// yet. It is not the mutex's: a context is the caller's code.
	deadline atomic.Int64

	ready chan struct{} // closed by whoever takes the waiter out of the queue with an answer
	lease *Lease[K, C]
	err   error

	inQueue, inUndialed links[waiter[K, C]]
}

func (w *waiter[K, C]) queueLinks() *links[waiter[K, C]]    { return &w.inQueue }
func (w *waiter[K, C]) undialedLinks() *links[waiter[K, C]] { return &w.inUndialed }

// enqueueLocked adds a waiter for o at the end of the queue.
func (p *Pool[K, C]) enqueueLocked(ctx context.Context, o *origin[K, C], now time.Duration) *waiter[K, C] {
	p.lastWaiter++
	o.pace.Count(now, o.leases)
	o.used = now
	w := &waiter[K, C]{origin: o, ctx: ctx, number: p.lastWaiter, since: now, ready: make(chan struct{})}
	o.waiters.pushBack(w)
	o.undialed.pushBack(w)
	p.waiting++
	p.kickLocked(o)
	return w
}

// dequeueLocked takes w out of the queue. A dial that it caused goes on.
func (p *Pool[K, C]) dequeueLocked(w *waiter[K, C]) {
	o := w.origin
	o.waiters.remove(w)
	o.undialed.drop(w)
	if w.dial != nil {
		w.dial.cause = nil
		w.dial = nil
	}
	p.waiting--
	p.kickLocked(o)
}

// answerLocked ends w's wait with a lease or an error.
func (p *Pool[K, C]) answerLocked(w *waiter[K, C], l *Lease[K, C], err error) {
	p.dequeueLocked(w)
	if l != nil {
		l.waited = max(0, l.conn.taken-w.since)
		p.totals.Waited++
		p.totals.WaitTime += l.waited
	}
	w.lease, w.err = l, err
	close(w.ready)
}

// leftAt is what is left at now until w's deadline.
func (w *waiter[K, C]) leftAt(now time.Duration) time.Duration {
	if at := time.Duration(w.deadline.Load()); at != 0 {
		return at - now
	}
	return maxDuration
}

// wait returns w's answer. If ctx ends first the waiter leaves, and gives back
// what it was handed in the same moment.
func (p *Pool[K, C]) wait(ctx context.Context, w *waiter[K, C]) (*Lease[K, C], error) {
	if at, ok := ctx.Deadline(); ok {
		w.deadline.Store(int64(at.Sub(p.born)))
	}
	var late <-chan time.Time
	if p.cfg.WaitTimeout < maxDuration {
		timer := time.NewTimer(p.cfg.WaitTimeout)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-w.ready:
		return w.lease, w.err
	case <-late:
		return p.waitedTooLong(w)
	case <-ctx.Done():
	}
	p.mu.Lock()
	switch {
	case w.origin.waiters.has(w):
		p.dequeueLocked(w)
	case w.lease != nil:
		p.endLeaseLocked(w.lease, p.now())
	}
	p.unlock()
	return nil, context.Cause(ctx)
}

// undialLocked notes that the dial which w caused has ended without an answer
// for w. Few are older than w and without a dial: the search is short.
func (o *origin[K, C]) undialLocked(w *waiter[K, C]) {
	w.dial = nil
	at := o.undialed.first
	for at != nil && at.number < w.number {
		at = o.undialed.after(at)
	}
	if at == nil {
		o.undialed.pushBack(w)
		return
	}
	o.undialed.insertBefore(w, at)
}

// waitedTooLong ends w's wait, unless it has just been answered.
func (p *Pool[K, C]) waitedTooLong(w *waiter[K, C]) (*Lease[K, C], error) {
	p.mu.Lock()
	if w.origin.waiters.has(w) {
		p.giveUpLocked(w, p.now().mono, 0, 0)
	}
	p.unlock()
	return w.lease, w.err
}
