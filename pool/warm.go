package pool

import (
	"context"
	"time"
)

// warmer is a Warm that waits. The pool's mutex guards it, except that its Warm
// reads err after done was closed.
type warmer[K comparable, C any] struct {
	ctx  context.Context
	n    int
	done chan struct{} // closed by whoever takes the warmer out of the list
	err  error

	inWarmers links[warmer[K, C]]
}

func (w *warmer[K, C]) warmerLinks() *links[warmer[K, C]] { return &w.inWarmers }

// Warm opens connections for key until n of them are open, in use or not, and
// returns nil when they are, or when as many are as the limits of Config allow. It
// evicts nothing, and takes no waiter's place: a connection that it opens goes to
// who waits for one, and is idle otherwise. Nobody having used them, those beyond
// what Config.IdleWindow keeps are closed when the third window has passed.
//
// It returns the first error of a dial that it started, context.Cause(ctx) when
// ctx ends first, context.Canceled after CloseIdle, and ErrClosed after Close or
// Shutdown. When ctx ends, what it has started goes on.
func (p *Pool[K, C]) Warm(ctx context.Context, key K, n int) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	w := &warmer[K, C]{ctx: ctx, n: n, done: make(chan struct{})}
	o, err := p.startWarming(key, w)
	if err != nil {
		return err
	}
	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
	}
	p.mu.Lock()
	o.warmers.drop(w)
	p.kickLocked(o)
	p.unlock()
	return context.Cause(ctx)
}

func (p *Pool[K, C]) startWarming(key K, w *warmer[K, C]) (*origin[K, C], error) {
	p.mu.Lock()
	defer p.unlock()
	o := p.origins[key]
	if o == nil && p.state == stateRunning {
		o = p.meetLocked(key)
	}
	if p.state != stateRunning {
		return nil, ErrClosed
	}
	p.closeIdle = false
	o.warmers.pushBack(w)
	p.kickLocked(o)
	return o, nil
}

// warmedLocked ends all of o's Warms that f holds for.
func (o *origin[K, C]) warmedLocked(err error, f func(w *warmer[K, C]) bool) {
	for w := o.warmers.first; w != nil; {
		next := o.warmers.after(w)
		if f(w) {
			o.warmers.remove(w)
			w.err = err
			close(w.done)
		}
		w = next
	}
}

func everyWarmer[K comparable, C any](*warmer[K, C]) bool { return true }

// spareLocked starts the dials that nobody waits for, those of Warm and those that
// replace what a key has lost below Config.MinPerKey, and ends the Warms that are
// done.
func (p *Pool[K, C]) spareLocked(o *origin[K, C]) {
	switch {
	case o.warmers.n == 0 && p.cfg.MinPerKey == 0:
		p.warming.drop(o)
		return
	case p.state != stateRunning:
		o.warmedLocked(ErrClosed, everyWarmer)
		p.warming.drop(o)
		return
	}
	p.startSparesLocked(o)
	have, coming := o.stayingLocked(), o.dialing-o.cancelled
	stuck := coming == 0 && !p.wanting.has(o) && !p.hasRoomLocked(o)
	o.warmedLocked(nil, func(w *warmer[K, C]) bool { return have >= w.n || stuck })
	switch {
	case o.warmers.n == 0:
		p.warming.drop(o)
	case !p.warming.has(o):
		p.warming.pushBack(o) // it may be held up by the dials of others
	}
}

// startSparesLocked starts dials of o that nobody waits for. Those who wait for a
// dial that could not start yet come first; o is looked at again after that.
func (p *Pool[K, C]) startSparesLocked(o *origin[K, C]) {
	for !p.wanting.has(o) && o.mayDialLocked() && p.mayDialLocked() && p.hasRoomLocked(o) {
		ctx, missing := o.missingLocked()
		if missing <= 0 {
			return
		}
		p.dialLocked(ctx, o, nil)
	}
}

// hasRoomLocked reports whether o may have one more connection that nobody waits
// for, without anything being closed for it.
func (p *Pool[K, C]) hasRoomLocked(o *origin[K, C]) bool {
	return o.open+o.dialing < min(p.cfg.MaxPerKey, p.cfg.MaxIdlePerKey) &&
		p.open+p.dialing < p.cfg.MaxTotal &&
		p.idle.n+p.dialing < p.cfg.MaxIdle
}

// stayingLocked is how many of o's connections are neither retired, nor too old
// soon, nor offered no more.
func (o *origin[K, C]) stayingLocked() int { return o.open - o.leaving }

// missingLocked is how many dials o should have that nobody waits for, and the
// context of the next.
func (o *origin[K, C]) missingLocked() (context.Context, int) {
	have := o.stayingLocked() + o.dialing - o.cancelled
	ctx, want := context.Background(), 0
	for w := o.warmers.first; w != nil; w = o.warmers.after(w) {
		if w.n > want {
			ctx, want = w.ctx, w.n
		}
	}
	if want-have > 0 {
		return ctx, want - have
	}
	return context.Background(), o.replaceLocked(o.pool.cfg.MinPerKey - have)
}

// replaceAgain bounds how often what a key has lost is replaced: a peer that
// closes whatever is opened would be dialed without end.
const replaceAgain = time.Second

// replaceLocked is how many of the n connections that o has too few of it may dial
// now. One that was not used of late needs none, and one whose dials fail gets
// them from those who wait.
func (o *origin[K, C]) replaceLocked(n int) int {
	p := o.pool
	if n <= 0 || o.failures > 0 || p.closeIdle || o.used < 0 {
		return 0
	}
	now := p.now().mono
	if now-o.used >= min(p.cfg.IdleTimeout, inUseOfLate) {
		return 0
	}
	if now-o.replacing >= replaceAgain {
		o.replacing, o.replaced = now, 0
	}
	if o.replaced >= p.cfg.MinPerKey {
		return 0
	}
	o.replaced++
	return n
}

// inUseOfLate is for how long after its last use a key keeps Config.MinPerKey
// connections.
const inUseOfLate = 10 * time.Minute

// leaveLocked notes that c will not stay, and why.
func (c *Conn[K, C]) leaveLocked(why Reason) {
	if !c.leaving {
		c.leaving = true
		c.origin.losses.add(why)
		c.origin.leaving++
		c.origin.pool.kickLocked(c.origin)
	}
}

// lead is how long before it is too old a connection's replacement is dialed.
func (c *Conn[K, C]) lead() time.Duration {
	if c.leaving || c.origin.pool.cfg.MinPerKey == 0 || c.maxAge == maxDuration {
		return 0
	}
	return min(c.maxAge/10, 10*time.Second)
}
