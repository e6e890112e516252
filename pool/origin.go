package pool

import (
	"time"

	"github.com/stayopen-go/stayopen/internal/growth"
)

// origin is all that the pool knows of one key. It is in the pool's map while it
// has a connection, a dial or a waiter. The pool's mutex guards it.
type origin[K comparable, C any] struct {
	pool   *Pool[K, C]
	key    K
	number uint64 // counts up over the pool's life
	alone  bool   // Config.DialAlone's answer

	slotsSeen int // what a connection offered last; 0: not known yet

	conns     list[Conn[K, C]] // all that are open or being dialed
	free      free[K, C]       // those with a free slot
	idle      list[Conn[K, C]] // those without a lease, most recently used first
	open      int
	dialing   int
	cancelled int // of dialing, those whose context was cancelled
	slow      int // of dialing, those that take long and were not cancelled
	failures  int // dials that failed since one succeeded
	leaving   int // of open, those that are retired, not offered any more, or too old soon
	parked    int // of open, those that are idle and not offered any more
	settling  int // of open, those whose slots are not known yet
	leases    int
	losses    losses

	waiters  list[waiter[K, C]] // oldest first
	undialed list[waiter[K, C]] // of waiters, those that have no dial of their own, oldest first

	warmers   list[warmer[K, C]]
	used      time.Duration // when somebody came last, on the monotonic clock; before 0: nobody has
	replacing time.Duration // when replaced was counted from, on the monotonic clock
	replaced  int           // dials for Config.MinPerKey since then

	demand  growth.Demand
	pace    growth.Pace
	alarm   *time.Timer   // rings when waiting has cost as much as a dial would, nil before it is set first
	alarmed bool          // whether it runs
	alarmAt time.Duration // when it rings, on the monotonic clock

	inMet, inDirty, inWanting, inSwollen, inWarming links[origin[K, C]]
}

// blankOrigin is what the origins of a pool are copied from. An accessor of a
// generic type's field is a closure: made once, it is shared by all.
func blankOrigin[K comparable, C any](p *Pool[K, C]) origin[K, C] {
	return origin[K, C]{
		pool:     p,
		used:     -1,
		conns:    list[Conn[K, C]]{links: (*Conn[K, C]).memberLinks},
		free:     free[K, C]{unused: list[Conn[K, C]]{links: (*Conn[K, C]).unusedLinks}},
		idle:     list[Conn[K, C]]{links: (*Conn[K, C]).keyIdleLinks},
		warmers:  list[warmer[K, C]]{links: (*warmer[K, C]).warmerLinks},
		waiters:  list[waiter[K, C]]{links: (*waiter[K, C]).queueLinks},
		undialed: list[waiter[K, C]]{links: (*waiter[K, C]).undialedLinks},
	}
}

// newOriginLocked adds an origin for key.
func (p *Pool[K, C]) newOriginLocked(key K, alone bool) *origin[K, C] {
	o := new(origin[K, C])
	*o = p.blank
	p.lastOrigin++
	o.key, o.number, o.alone = key, p.lastOrigin, alone
	p.origins[key] = o
	p.met.pushBack(o)
	p.recallLocked(o)
	p.kickLocked(o)
	return o
}

func (o *origin[K, C]) metLinks() *links[origin[K, C]]     { return &o.inMet }
func (o *origin[K, C]) dirtyLinks() *links[origin[K, C]]   { return &o.inDirty }
func (o *origin[K, C]) wantingLinks() *links[origin[K, C]] { return &o.inWanting }
func (o *origin[K, C]) warmingLinks() *links[origin[K, C]] { return &o.inWarming }
func (o *origin[K, C]) swollenLinks() *links[origin[K, C]] { return &o.inSwollen }

// emptyLocked reports whether nothing is left of o.
func (o *origin[K, C]) emptyLocked() bool {
	return o.open+o.dialing+o.waiters.n+o.warmers.n == 0
}

// cancelDialsLocked cancels the dials of o. Until they return they count
// against the limits, but no longer as something that a waiter could wait for.
func (o *origin[K, C]) cancelDialsLocked() {
	if o.dialing == o.cancelled {
		return
	}
	for c := o.conns.first; c != nil; c = o.conns.after(c) {
		if c.phase == dialing && !c.dial.cancelled {
			c.dial.cancelled = true
			o.cancelled++
			if c.dial.slow {
				c.dial.slow = false
				o.slow--
				o.pool.slowDials--
			}
			o.pool.cancels = append(o.pool.cancels, c.dial.cancel)
		}
	}
}

func (o *origin[K, C]) statsLocked() Stats {
	return Stats{
		Open:    o.open,
		Idle:    o.idle.n,
		Leases:  o.leases,
		Dialing: o.dialing,
		Waiting: o.waiters.n,
	}
}
