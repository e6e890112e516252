package pool

import (
	"iter"
	"runtime"
)

// breath is after how many origins a tour lets others run. Whoever was woken to
// have the mutex has no other way to it where there are few processors: a tour
// that goes on takes it again before.
const breath = 16

// All goes through the keys that have a connection, a dial or a waiter, in the
// order in which the pool met them, each at most once. In contrast to Each it
// holds nobody up: the mutex is let go of after each key, so that the figures of
// one key are of one moment but those of two keys are not. A key that comes
// meanwhile is left out, as may be one that goes. It may be called at any time by
// anybody, and the loop's body may call the pool.
func (p *Pool[K, C]) All() iter.Seq2[K, Stats] {
	return func(yield func(K, Stats) bool) {
		t := p.beginTour()
		defer p.endTour(t)
		for n := 1; ; n++ {
			o, s := p.nextOf(t)
			if o == nil || s != (Stats{}) && !yield(o.key, s) {
				return
			}
			if n%breath == 0 {
				runtime.Gosched()
			}
		}
	}
}

// tour is how far one All has come.
type tour[K comparable, C any] struct {
	// mark stands in Pool.met behind the origins that were visited. Its own
	// number is 0.
	mark origin[K, C]
	last uint64 // the number of the youngest origin to visit
}

func (p *Pool[K, C]) beginTour() *tour[K, C] {
	t := new(tour[K, C])
	p.mu.Lock()
	defer p.mu.Unlock()
	t.last = p.lastOrigin
	if p.met.first == nil {
		p.met.pushBack(&t.mark)
	} else {
		p.met.insertBefore(&t.mark, p.met.first)
	}
	return t
}

func (p *Pool[K, C]) endTour(t *tour[K, C]) {
	p.mu.Lock()
	p.met.remove(&t.mark)
	p.mu.Unlock()
}

// nextOf moves t's mark past the next origin, which it returns, nil at the end.
func (p *Pool[K, C]) nextOf(t *tour[K, C]) (*origin[K, C], Stats) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.stepLocked(t)
	if o == nil {
		return nil, Stats{}
	}
	return o, o.statsLocked()
}

// stepLocked is nextOf without the figures.
func (p *Pool[K, C]) stepLocked(t *tour[K, C]) *origin[K, C] {
	o := p.met.after(&t.mark)
	for o != nil && o.number == 0 { // the mark of another tour
		o = p.met.after(o)
	}
	if o == nil || o.number > t.last {
		return nil
	}
	next := p.met.after(o)
	p.met.remove(&t.mark)
	if next == nil {
		p.met.pushBack(&t.mark)
	} else {
		p.met.insertBefore(&t.mark, next)
	}
	return o
}
