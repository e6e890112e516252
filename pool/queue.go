package pool

import (
	"context"
	"fmt"
	"time"
)

// QueueFullError is what Get returns instead of waiting when as many wait as
// Config.MaxWaiters or Config.MaxWaitersPerKey allows.
type QueueFullError struct {
	Limit         int  // the limit that was met
	PerKey        bool // it is Config.MaxWaitersPerKey; the figures are those of the key, and otherwise of all keys
	Waiting       int  // Gets that wait
	Open, Dialing int  // connections that are open, dials that run
}

// Error says whose queue is full, with the figures.
func (e *QueueFullError) Error() string {
	who := "all keys"
	if e.PerKey {
		who = "the key"
	}
	return fmt.Sprintf("pool: queue full: %d of at most %d wait for %s, %d connections open, %d dialing",
		e.Waiting, e.Limit, who, e.Open, e.Dialing)
}

// WaitError is what Get returns when it gives up waiting before its context ends:
// because it waited for Config.WaitTimeout, or because a slot had come free and
// its context's deadline was so near that the next in line was given it. In that
// case it matches [context.DeadlineExceeded].
type WaitError struct {
	Waited        time.Duration // how long the Get waited
	Left, Need    time.Duration // what was left until the deadline, and what an exchange takes at least; Need is 0 if it was Config.WaitTimeout
	Waiting       int           // Gets that wait for the key, without this one
	Open, Dialing int           // the key's connections that are open, and its dials that run
}

// Error says how long the Get waited and for what, with the figures.
func (e *WaitError) Error() string {
	why := ""
	if e.Need > 0 {
		why = fmt.Sprintf(", the deadline is %v away and an exchange takes %v at least", e.Left, e.Need)
	}
	return fmt.Sprintf("pool: no connection after %v: %d others wait, %d connections open, %d dialing%s",
		e.Waited, e.Waiting, e.Open, e.Dialing, why)
}

// Timeout is true, Temporary too: a WaitError is a net.Error.
func (e *WaitError) Timeout() bool { return true }

// Temporary is true: there may be a connection another time.
func (e *WaitError) Temporary() bool { return true }

// Is reports whether e was caused by what target is, a context's deadline.
func (e *WaitError) Is(target error) bool {
	return e.Need > 0 && target == context.DeadlineExceeded
}

// fullLocked returns the error of a Get for o that may not wait.
func (p *Pool[K, C]) fullLocked(o *origin[K, C]) error {
	switch {
	case o.waiters.n >= p.cfg.MaxWaitersPerKey:
		return &QueueFullError{p.cfg.MaxWaitersPerKey, true, o.waiters.n, o.open, o.dialing}
	case p.waiting >= p.cfg.MaxWaiters:
		return &QueueFullError{p.cfg.MaxWaiters, false, p.waiting, p.open, p.dialing}
	}
	return nil
}

// giveUpLocked ends w's wait for lack of time.
func (p *Pool[K, C]) giveUpLocked(w *waiter[K, C], now, left, need time.Duration) {
	o := w.origin
	p.totals.Refused++
	p.answerLocked(w, nil, &WaitError{now - w.since, left, need, o.waiters.n - 1, o.open, o.dialing})
}

// nextLocked returns who gets the next slot of o, nil if nobody waits: the oldest
// waiter, but not one for whom it comes too late. Under overload the oldest is the
// one whose deadline is next; if each slot went to somebody who has to break the
// exchange off, none would be of use. Too late means that somebody else is there
// to take the slot and that what is left is less than one and a half times what
// nine of ten exchanges took at least: those at the head of the line are always
// the ones for whom it is just not too late, so there has to be something to spare.
func (p *Pool[K, C]) nextLocked(o *origin[K, C], now time.Duration) *waiter[K, C] {
	need := o.pace.Quick() * 3 / 2
	for w := o.waiters.first; w != nil; w = o.waiters.first {
		left := w.leftAt(now)
		if left >= need || o.waiters.n == 1 {
			return w
		}
		p.giveUpLocked(w, now, left, max(need, 1))
	}
	return nil
}
