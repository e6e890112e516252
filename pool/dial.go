package pool

import (
	"context"
	"errors"
)

// errDialAborted is what waiters get if Dial ended its goroutine instead of
// returning: by a panic, which ends the program, or by runtime.Goexit.
var errDialAborted = errors.New("pool: Config.Dial did not return")

// dial is a Dial under way. The pool's mutex guards it.
type dial[K comparable, C any] struct {
	cause     *waiter[K, C] // the waiter that it was started for, nil once that has its answer
	began     uint64        // the number of the youngest waiter when it began
	cancel    context.CancelFunc
	cancelled bool
}

// startDialLocked starts a dial for the oldest waiter of o that has none.
func (p *Pool[K, C]) startDialLocked(o *origin[K, C]) {
	w := o.undialed.popFront()
	if w == nil {
		panic("BUG: pool: a dial is wanted but every waiter has one")
	}
	// Nothing of the caller's runs here, although the mutex is held: WithoutCancel
	// hides the Done of w.ctx.
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.ctx))
	d := &dial[K, C]{cause: w, began: p.lastWaiter, cancel: cancel}
	w.dial = d
	c := &Conn[K, C]{origin: o, dial: d, ageIndex: -1}
	o.conns.pushBack(c)
	o.dialing++
	p.dialing++
	p.dials.Add(1)
	go p.runDial(ctx, c, cancel) // ends when Dial returns
}

func (p *Pool[K, C]) runDial(ctx context.Context, c *Conn[K, C], cancel context.CancelFunc) {
	var value C
	var slots int
	err := errDialAborted
	defer p.dials.Done()
	// Deferred, so that a Dial that never returns leaves no waiter behind either.
	defer func() {
		cancel()
		p.dialEnded(c, value, slots, err)
	}()
	value, slots, err = p.cfg.Dial(ctx, c.origin.key, c)
}

// dialEnded takes in what Dial returned.
func (p *Pool[K, C]) dialEnded(c *Conn[K, C], value C, slots int, err error) {
	p.mu.Lock()
	d := p.endDialLocked(c)
	if err != nil {
		p.failLocked(c, d, err)
	} else {
		if d.cause != nil {
			c.origin.undialLocked(d.cause)
		}
		p.openLocked(c, value, slots)
	}
	if p.state == stateClosed {
		// Pool.Close waits for this goroutine, and promises that Close was called.
		p.unlockAndClose()
		return
	}
	p.unlock()
}

// endDialLocked ends the accounts of c's dial.
func (p *Pool[K, C]) endDialLocked(c *Conn[K, C]) *dial[K, C] {
	o, d := c.origin, c.dial
	c.dial = nil
	o.dialing--
	p.dialing--
	if d.cancelled {
		o.cancelled--
	}
	p.kickLocked(o)
	return d
}

// failLocked hands a failed dial's error to the waiter that caused it or, if
// that one has gone, to the oldest that was waiting when the dial began.
func (p *Pool[K, C]) failLocked(c *Conn[K, C], d *dial[K, C], err error) {
	o := c.origin
	o.conns.remove(c)
	c.phase = ended
	if o.open == 0 && isTimeout(err) {
		// Behind a black hole every dial takes the full time limit. Those who saw
		// all of one have waited long enough.
		for w := o.waiters.first; w != nil && w.number <= d.began; w = o.waiters.first {
			p.answerLocked(w, nil, err)
		}
		return
	}
	w := d.cause
	if w == nil {
		w = o.waiters.first
	}
	if w != nil && w.number <= d.began {
		p.answerLocked(w, nil, err)
	}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
