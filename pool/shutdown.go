package pool

import (
	"context"
	"time"
)

// CloseIdle closes the connections without a lease. Those that fall idle later
// are closed too, until the next Get or Warm. It cancels the dials of keys that
// nobody waits for, and Warms fail with context.Canceled. It returns without waiting for Config.Close.
func (p *Pool[K, C]) CloseIdle() {
	p.mu.Lock()
	defer p.unlock()
	if p.state != stateRunning {
		return
	}
	p.closeIdle = true
	p.closeIdleLocked(CloseIdle)
	for _, o := range p.origins {
		o.warmedLocked(context.Canceled, everyWarmer)
		if o.waiters.n == 0 {
			o.cancelDialsLocked()
		}
		p.kickLocked(o)
	}
}

func (p *Pool[K, C]) closeIdleLocked(why Reason) {
	for c := p.idle.first; c != nil; c = p.idle.first {
		p.closeLocked(c, why)
	}
}

// Shutdown ends the pool without breaking anything off. New Gets fail with
// ErrClosed. Those that wait already are still served. Idle connections are
// closed, leased ones when their last lease has ended. Dials that nobody waits
// for are cancelled.
//
// It returns nil when nothing is left and Config.Close has returned for all, or
// context.Cause(ctx) when ctx ends first: what runs then goes on, and Close ends
// it. It may be called several times. Called by Dial, by Config.Close or by a
// goroutine with a lease it waits for its own caller, until ctx ends.
func (p *Pool[K, C]) Shutdown(ctx context.Context) error {
	p.mu.Lock()
	if p.state == stateRunning {
		p.state = stateShutdown
		p.closeIdleLocked(Closed)
		for _, o := range p.origins {
			p.kickLocked(o)
		}
	}
	if p.left == nil {
		p.left = make(chan struct{})
	}
	left := p.left
	p.unlock()
	select {
	case <-left:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close ends the pool now. All Gets fail with ErrClosed, waiting ones too. Dials
// are cancelled. All connections are closed, those with leases too; the leases
// end without effect.
//
// It returns nil after Config.Close was called for all connections, in this
// goroutine or before, and after all calls of Dial have returned, for which it
// waits a second at most: what a Dial brings that did not heed its context is
// closed when it comes. A call of Config.Close that began earlier may still run, so
// Config.Close may call it. A second call does nothing and returns at once.
func (p *Pool[K, C]) Close() error {
	p.mu.Lock()
	if p.state == stateClosed {
		p.mu.Unlock()
		return nil
	}
	p.state = stateClosed
	for _, o := range p.origins {
		p.closeOriginLocked(o)
	}
	p.settle()
	p.closeQueued() // also what another goroutine was about to close
	p.awaitDials()
	return nil
}

// closeGrace bounds how long Close waits for calls of Dial that do not heed
// their context.
const closeGrace = time.Second

func (p *Pool[K, C]) awaitDials() {
	done := make(chan struct{}) // closed by the goroutine, which ends with the last Dial
	go func() {
		p.dials.Wait()
		close(done)
	}()
	timer := time.NewTimer(closeGrace)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// closeOriginLocked fails o's waiters, cancels its dials and closes its
// connections.
func (p *Pool[K, C]) closeOriginLocked(o *origin[K, C]) {
	for w := o.waiters.first; w != nil; w = o.waiters.first {
		p.answerLocked(w, nil, ErrClosed)
	}
	o.warmedLocked(ErrClosed, everyWarmer)
	p.kickLocked(o)
	o.cancelDialsLocked()
	for c := o.conns.first; c != nil; {
		next := o.conns.after(c)
		if c.phase == open {
			p.closeLocked(c, Closed)
		}
		c = next
	}
}

// tellIfNothingIsLeftLocked lets Shutdown return when there is nothing to wait
// for any more.
func (p *Pool[K, C]) tellIfNothingIsLeftLocked() {
	if p.state == stateRunning || p.gone {
		return
	}
	if p.left != nil && p.open+p.dialing+p.waiting+p.closing.n+p.closers == 0 {
		p.gone = true
		close(p.left)
	}
}
