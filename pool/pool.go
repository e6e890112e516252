package pool

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrClosed is what Get returns after Close or Shutdown.
var ErrClosed = errors.New("pool: closed")

// state is where a pool is in its life.
type state uint8

const (
	stateRunning state = iota
	stateShutdown
	stateClosed
)

// Pool keeps connections of type C to whatever a key of type K names, and gives
// leases on them. A key must be equal to itself. Its methods may be called from
// any goroutine. A pool that is dropped while it is empty is collected; one with
// connections wants Close or Shutdown.
type Pool[K comparable, C any] struct {
	cfg   Config[K, C]
	born  time.Time
	blank origin[K, C]

	// mu guards everything below and the fields of origins, connections, leases,
	// waiters and dials. What Get and the end of a lease do under it does not
	// grow with the number of connections or waiters, but for the depth of a heap of
	// a key's connections that have several slots, and both leases and a free slot;
	// with MaxAge, opening and closing a connection costs the depth of a heap. No
	// function of Config is called under it, nor anything else that blocks. It is
	// let go of by unlock, which draws the conclusions of what was changed.
	mu      sync.Mutex
	state   state
	origins map[K]*origin[K, C]
	former  map[K]*former[K] // keys that have nothing left
	formers list[former[K]]  // the same, the one that was forgotten last at the end
	totals  Totals

	open, dialing, leases, waiting int
	slowDials                      int // of dialing, those that take long and were not cancelled

	met        list[origin[K, C]] // all origins, those met first at the front, and the marks of tours
	lastOrigin uint64             // the number of the youngest

	idle       list[Conn[K, C]] // without a lease, most recently used first
	closing    list[Conn[K, C]] // no longer counted, Config.Close still to be called
	closers    int              // calls of Config.Close under way
	lastWaiter uint64

	dirty   list[origin[K, C]] // something changed that bears on dials: to be reviewed
	wanting list[origin[K, C]] // want a dial and wait for room under Config.MaxTotal, longest first

	warming list[origin[K, C]] // have a Warm that waits
	swollen list[origin[K, C]] // have more connections than are kept anyway, unless Config.IdleWindow is off
	tick    time.Duration      // when they are looked at next, on the monotonic clock
	turned  time.Duration      // when the current window of demand began

	closeIdle   bool                 // CloseIdle was called and no Get since
	closingGrew bool                 // since the last unlock
	cancels     []context.CancelFunc // to be called after the unlock

	dues  dues[K, C]
	timer *time.Timer
	armed bool          // whether timer runs
	wake  time.Duration // when it ends, on the monotonic clock
	swept time.Duration // when it ended last

	left chan struct{} // made by Shutdown, closed by unlock when nothing is left
	gone bool          // left is closed

	dials sync.WaitGroup // goroutines that run a dial
}

// New makes a pool. It fails if a required field of cfg is missing.
func New[K comparable, C any](cfg Config[K, C]) (*Pool[K, C], error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	p := &Pool[K, C]{
		cfg:     cfg,
		born:    time.Now(),
		origins: make(map[K]*origin[K, C]),
		former:  make(map[K]*former[K]),
		formers: list[former[K]]{links: (*former[K]).formerLinks},
		totals:  Totals{Opened: make(map[Reason]uint64), Closed: make(map[Reason]uint64)},
		idle:    list[Conn[K, C]]{links: (*Conn[K, C]).idleLinks},
		closing: list[Conn[K, C]]{links: (*Conn[K, C]).memberLinks},
		met:     list[origin[K, C]]{links: (*origin[K, C]).metLinks},
		dirty:   list[origin[K, C]]{links: (*origin[K, C]).dirtyLinks},
		wanting: list[origin[K, C]]{links: (*origin[K, C]).wantingLinks},
		warming: list[origin[K, C]]{links: (*origin[K, C]).warmingLinks},
		swollen: list[origin[K, C]]{links: (*origin[K, C]).swollenLinks},
		swept:   -sweepGap,
	}
	p.blank = blankOrigin(p)
	return p, nil
}

// Get returns a lease on a connection for key. Of those with a free slot it takes
// the one with the fewest leases, and of several such the most recently used. If
// there is none it waits, first come, first served,
// for a slot that becomes free or a connection that is dialed, whichever comes
// first.
//
// It fails with context.Cause(ctx) when ctx ends or has ended before, with
// ErrClosed after Close or Shutdown, with Dial's error, with a [*QueueFullError]
// when too many wait already, and with a [*WaitError] after Config.WaitTimeout.
//
// It fails with a *WaitError, too, when it is its turn and ctx's deadline is so
// near that an exchange is not likely to end before it, going by the quickest tenth
// of those for the key, while another waits behind it: that one gets the slot. A dial goes on when
// the Get that caused it has its answer or gave up: the connection then serves
// the next waiter, or is kept as idle.
func (p *Pool[K, C]) Get(ctx context.Context, key K) (*Lease[K, C], error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	l, w, err := p.take(ctx, key)
	if w == nil {
		return l, err
	}
	return p.wait(ctx, w)
}

// take returns a lease if there is a free slot, and a waiter otherwise.
func (p *Pool[K, C]) take(ctx context.Context, key K) (*Lease[K, C], *waiter[K, C], error) {
	now := p.now() // takes as long as all that is done under the mutex
	p.mu.Lock()
	defer p.unlock()
	o := p.origins[key]
	if o == nil && p.state == stateRunning {
		o = p.meetLocked(key)
		now = p.now()
	}
	if p.state != stateRunning {
		return nil, nil, ErrClosed
	}
	p.closeIdle = false
	if l := p.takeLocked(o, now); l != nil {
		return l, nil, nil
	}
	if err := p.fullLocked(o); err != nil {
		p.totals.Refused++
		return nil, nil, err
	}
	return nil, p.enqueueLocked(ctx, o, now.mono), nil
}

// meetLocked returns the origin of a key that was not known when it was called.
// It lets go of the mutex in between.
func (p *Pool[K, C]) meetLocked(key K) *origin[K, C] {
	alone := false
	if p.cfg.DialAlone != nil {
		p.mu.Unlock()
		alone = p.askDialAlone(key)
		if o := p.origins[key]; o != nil {
			return o
		}
	}
	return p.newOriginLocked(key, alone)
}

// askDialAlone locks the mutex when the answer is there, and also when DialAlone
// panics, for the caller unlocks it.
func (p *Pool[K, C]) askDialAlone(key K) bool {
	defer p.mu.Lock()
	return p.cfg.DialAlone(key)
}

// takeLocked takes a free slot, if there is one.
func (p *Pool[K, C]) takeLocked(o *origin[K, C], now instant) *Lease[K, C] {
	for c := o.free.first(); c != nil; c = o.free.first() {
		// The timer does not run while the machine sleeps: look.
		if p.usableLocked(c, now) {
			return p.leaseLocked(c, now, false)
		}
	}
	return nil
}

// Stats counts what a pool, or one key of it, has at one moment.
type Stats struct {
	Open    int // connections that are open, the idle ones included
	Idle    int // connections that are open and have no lease
	Leases  int // leases that are out
	Dialing int // dials that run
	Waiting int // Gets that wait
}

// Stats counts over all keys.
func (p *Pool[K, C]) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{
		Open:    p.open,
		Idle:    p.idle.n,
		Leases:  p.leases,
		Dialing: p.dialing,
		Waiting: p.waiting,
	}
}

// Each calls f for each key that has a connection, a dial or a waiter, in no
// particular order. All figures are of one moment; f may call the pool.
func (p *Pool[K, C]) Each(f func(key K, s Stats)) {
	type entry struct {
		key   K
		stats Stats
	}
	p.mu.Lock()
	all := make([]entry, 0, len(p.origins))
	for _, o := range p.origins {
		if s := o.statsLocked(); s != (Stats{}) {
			all = append(all, entry{o.key, s})
		}
	}
	p.mu.Unlock()
	for _, e := range all {
		f(e.key, e.stats)
	}
}
