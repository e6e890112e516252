package pool

import (
	"context"
	"errors"
	"time"
)

// errDialAborted is what waiters get if Dial ended its goroutine instead of
// returning: by a panic, which ends the program, or by runtime.Goexit.
var errDialAborted = errors.New("pool: Config.Dial did not return")

// dial is a Dial under way. The pool's mutex guards it.
type dial[K comparable, C any] struct {
	cause     *waiter[K, C] // the waiter that it was started for, nil once that has its answer
	spare     bool          // it was started for nobody who waits
	began     uint64        // the number of the youngest waiter when it began
	cancel    context.CancelFunc
	cancelled bool
	slow      bool        // it took longer than Config.SlowDial; not set once it is cancelled
	timer     *time.Timer // tells when it does, nil without Config.SlowDial
}

// startDialLocked starts a dial for the oldest waiter of o that has none.
func (p *Pool[K, C]) startDialLocked(o *origin[K, C]) {
	w := o.undialed.popFront()
	if w == nil {
		panic("BUG: pool: a dial is wanted but every waiter has one")
	}
	w.dial = p.dialLocked(w.ctx, o, w)
}

// dialLocked starts a dial for o, caused by w or by nobody who waits.
func (p *Pool[K, C]) dialLocked(ctx context.Context, o *origin[K, C], w *waiter[K, C]) *dial[K, C] {
	// Nothing of the caller's runs here, although the mutex is held: WithoutCancel
	// hides the Done of ctx.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	d := &dial[K, C]{cause: w, spare: w == nil, began: p.lastWaiter, cancel: cancel}
	if o.open+o.dialing >= p.cfg.MaxPerKey {
		p.closeLocked(o.parkedLocked(), Evicted)
	}
	cause, replaces := o.causeLocked(w)
	c := &Conn[K, C]{
		cause: cause, replaces: replaces,
		origin: o, dial: d, dialed: p.now().mono, dueIndex: -1,
		maxAge: maxDuration, offered: p.cfg.IdleTimeout, kept: p.cfg.IdleTimeout, left: p.cfg.MaxLeases,
	}
	if p.cfg.SlowDial < maxDuration {
		d.timer = time.AfterFunc(p.cfg.SlowDial, func() { p.slow(c) })
	}
	o.conns.pushBack(c)
	o.dialing++
	p.dialing++
	o.pace.DialBegan(c.dialed, o.leases)
	p.dials.Add(1)
	go p.runDial(ctx, c, cancel) // ends when Dial returns
	return d
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
	value, slots, err = p.dialPatiently(ctx, c)
}

// dialEnded takes in what Dial returned.
func (p *Pool[K, C]) dialEnded(c *Conn[K, C], value C, slots int, err error) {
	var f failure
	if err != nil {
		f = p.failureOf(err) // the user's code: not under the mutex
	}
	p.mu.Lock()
	d := p.endDialLocked(c)
	if err != nil {
		p.failLocked(c, d, f)
	} else {
		if d.cause != nil {
			c.origin.undialLocked(c.origin.inheritLocked(d))
		}
		p.openLocked(c, value, slots)
		c.watchLocked(d)
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
	switch {
	case d.cancelled:
		o.cancelled--
	case d.slow:
		o.slow--
		p.slowDials--
	}
	p.kickLocked(o)
	return d
}

// inheritLocked returns the waiter that is to be without a dial, now that d, which
// has a cause, has succeeded. It is the oldest waiter, which is served first, if
// that one has a dial of its own: the cause of d has that one from now on. Otherwise
// each dial that is overtaken would be made up for by another, and where all dials
// take longer than Config.SlowDial, as on a busy host or far from the peer, more
// would be opened than there are waiters. A dial that was not slow itself says
// nothing for those that are: they may hang.
func (o *origin[K, C]) inheritLocked(d *dial[K, C]) *waiter[K, C] {
	w, first := d.cause, o.waiters.first
	if !d.slow || first == w || first.dial == nil {
		return w
	}
	w.dial = first.dial
	w.dial.cause = w
	return first
}

// slow lets c hold nobody back any more: its dial or its settling takes long.
func (p *Pool[K, C]) slow(c *Conn[K, C]) {
	p.mu.Lock()
	defer p.unlock()
	if c.phase == open {
		c.settledLocked()
	}
	if d := c.dial; c.phase == dialing && !d.cancelled {
		d.slow = true
		c.origin.slow++
		p.slowDials++
		p.kickLocked(c.origin)
	}
}

// watchLocked goes on with the timer of c's dial while c settles.
func (c *Conn[K, C]) watchLocked(d *dial[K, C]) {
	switch {
	case d.timer == nil:
	case c.settling && !d.slow:
		c.watch = d.timer
	default:
		d.timer.Stop()
		c.settledLocked()
	}
}

// failure is a failed dial's error, and what it says about others.
type failure struct {
	err      error
	timeout  bool
	failsAll bool // Config.FailsAll's answer
}

func (p *Pool[K, C]) failureOf(err error) failure {
	return failure{err, isTimeout(err), p.cfg.FailsAll != nil && p.cfg.FailsAll(err)}
}

// failLocked hands a failed dial's error to the waiter that caused it or, if
// that one has gone, to the oldest that was waiting when the dial began.
func (p *Pool[K, C]) failLocked(c *Conn[K, C], d *dial[K, C], f failure) {
	o := c.origin
	o.conns.remove(c)
	c.phase = ended
	o.uncauseLocked(c)
	p.totals.FailedDials++
	o.alone = false // no reason any more to let the others wait
	o.failures++
	if d.timer != nil {
		d.timer.Stop()
	}
	if d.spare {
		// Those who wait get dials of their own now.
		o.warmedLocked(f.err, everyWarmer)
		return
	}
	if o.open == 0 && f.timeout {
		// Behind a black hole every dial takes the full time limit. Those who saw
		// all of one have waited long enough.
		p.failOldLocked(&o.waiters, d, f.err)
		return
	}
	w := d.cause
	if w == nil {
		w = o.waiters.first
	}
	if w != nil && w.number <= d.began {
		p.answerLocked(w, nil, f.err)
	}
	if o.open == 0 && f.failsAll && o.failures >= min(p.cfg.MaxDialsPerKey, enoughFailures) {
		p.failOldLocked(&o.undialed, d, f.err)
	}
}

// failOldLocked fails those in the queue that waited already when d began.
func (p *Pool[K, C]) failOldLocked(queue *list[waiter[K, C]], d *dial[K, C], err error) {
	for w := queue.first; w != nil && w.number <= d.began; w = queue.first {
		p.answerLocked(w, nil, err)
	}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
