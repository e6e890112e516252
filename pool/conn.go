package pool

import (
	"math/rand/v2"
	"time"

	"github.com/stayopen-go/stayopen/internal/growth"
)

// phase is where a connection is in its life.
type phase uint8

const (
	dialing phase = iota
	open
	ended // closed, gone, detached, or its dial failed: the pool no longer counts it
)

// Conn is the pool's handle of a connection. Its methods may be called from any
// goroutine, and also before Dial has returned. When the pool has forgotten the
// connection they do nothing.
type Conn[K comparable, C any] struct {
	origin *origin[K, C]

	value C // written once, before the first lease

	cause, replaces Reason // see origin.causeLocked; written once, before Dial

	// The pool's mutex guards the rest.

	dial *dial[K, C] // while it is being dialed

	slots    int
	leased   int
	phase    phase
	given    bool // it was leased
	retired  bool
	gone     bool   // Gone was called while it was being dialed
	lost     Reason // and why
	slotsSet bool   // SetSlots was called
	settling bool
	watch    *time.Timer // while it settles: tells when that takes long, nil without Config.SlowDial
	why      Reason      // why it is retired or being closed

	born      instant
	maxAge    time.Duration // its share of Config.MaxAge
	offered   time.Duration // how long it may be idle and still be leased
	kept      time.Duration // how long it may be idle, not less than offered
	leaving   bool          // it is open, and retired, or parked, or about to be too old
	parked    bool          // it is idle, and was so for too long to be leased
	left      int           // how many leases it still gives
	due       time.Duration // when it is looked at, on the monotonic clock
	dueIndex  int           // where it is in Pool.dues, -1: not there
	idleSince instant
	dialed    time.Duration // when its dial began, on the monotonic clock
	taken     time.Duration // when a lease on it was taken last, on the monotonic clock

	sharedAt int    // where it is in free.shared, counted from 1; 0: not there
	recency  uint64 // given by free.add: the higher, the more recently used

	inMember, inUnused, inIdle, inKeyIdle links[Conn[K, C]]
}

func (c *Conn[K, C]) memberLinks() *links[Conn[K, C]]  { return &c.inMember }
func (c *Conn[K, C]) unusedLinks() *links[Conn[K, C]]  { return &c.inUnused }
func (c *Conn[K, C]) idleLinks() *links[Conn[K, C]]    { return &c.inIdle }
func (c *Conn[K, C]) keyIdleLinks() *links[Conn[K, C]] { return &c.inKeyIdle }

// Key returns the key that c was dialed for.
func (c *Conn[K, C]) Key() K { return c.origin.key }

// Cause returns why c was opened, as of the moment when its dial began: why no
// other connection could be used instead. It is [Warmed] or [Minimum] where no
// Get caused it. Otherwise it stands in for the one that the key lost last, if
// that was not replaced since, and the cause is the reason of that loss: had that
// one been kept, c would not have been needed. Where the key has lost none, it is
// [First] for its first connection, and [Busy] after that: it never had so many
// at once.
//
// So no more connections are opened for the reason of a loss than were lost for
// it, and First counts the keys. Of one key the last 8 rows of losses for the
// same reason are known, and of keys that have nothing left the 4,096 latest;
// the others begin anew.
func (c *Conn[K, C]) Cause() Reason { return c.cause }

// SetSlots says how many leases c offers at once from now on; less than zero
// counts as zero. It may be less than what is out: then nobody is thrown off,
// and new leases are given when the number has come down. Slots that become free
// go to waiters at once. It ends the settling state and undoes [Lease.Refuse].
//
// Before Dial has returned it takes the place of Dial's own figure. Whatever the
// figure is, a dialed connection is handed to one waiter, if there is one, so
// that a peer that offers nothing is not dialed for ever.
func (c *Conn[K, C]) SetSlots(n int) {
	p := c.origin.pool
	p.mu.Lock()
	defer p.unlock()
	if c.phase == ended {
		return
	}
	c.setSlotsLocked(max(n, 0))
	c.slotsSet = true
	if c.phase == dialing || c.retired {
		return
	}
	now := p.now()
	if !p.usableLocked(c, now) {
		return
	}
	p.serveLocked(c, now)
	p.placeLocked(c, now)
}

// Retire lets c take no new lease and has it closed with why when the last one
// has ended, at once if there is none. The first reason given stays. If Dial has
// not returned yet, c is still handed to one waiter, if there is one.
func (c *Conn[K, C]) Retire(why Reason) {
	p := c.origin.pool
	p.mu.Lock()
	p.retireLocked(c, why)
	p.unlock()
}

// Replace says that c will be retired soon, and why: where Config.MinPerKey asks for it,
// the connection that takes its place is dialed now, as far as the limits allow.
// Until it is retired c gives leases as before. Before Dial has returned it has no
// effect.
func (c *Conn[K, C]) Replace(why Reason) {
	p := c.origin.pool
	p.mu.Lock()
	if c.phase == open {
		c.leaveLocked(why)
	}
	p.unlock()
}

// Gone says that c closed by itself. The pool forgets it at once and does not
// call Close; leases on it that are still out end without effect. If Dial has
// not returned yet, c is still handed to one waiter, if there is one: it then
// sees the error once, where the pool would otherwise dial for ever.
func (c *Conn[K, C]) Gone() { c.Lost(Gone) }

// Lost is Gone for those who know why. Where c was retired before, the reason
// given then stays.
func (c *Conn[K, C]) Lost(why Reason) {
	p := c.origin.pool
	p.mu.Lock()
	switch {
	case c.phase == dialing:
		c.gone, c.lost = true, why
	case c.phase == open:
		p.removeLocked(c, why)
	case p.closing.has(c):
		p.closing.remove(c)
	}
	p.unlock()
}

// openLocked takes in a connection that was dialed, and hands it to the oldest
// waiter.
func (p *Pool[K, C]) openLocked(c *Conn[K, C], value C, slots int) {
	o := c.origin
	c.value = value
	c.phase = open
	c.born = p.now()
	o.failures = 0
	o.open++
	p.open++
	p.totals.Opened[c.cause]++
	p.swellLocked(o, c.born)
	switch {
	case c.slotsSet:
	case slots > 0:
		c.setSlotsLocked(slots)
	default:
		c.slots = 1
		c.settling = true
		o.settling++
	}
	if !c.settling {
		o.pace.Dialed(c.born.mono - c.dialed)
	}
	if p.cfg.MaxAge < maxDuration {
		c.maxAge = p.cfg.MaxAge - rand.N(p.cfg.MaxAge/10+1)
	}
	p.dueLocked(c, c.born)
	if w := p.nextLocked(o, c.born.mono); w != nil {
		p.answerLocked(w, p.leaseLocked(c, c.born, true), nil)
	}
	switch {
	case c.gone:
		p.removeLocked(c, c.lost)
	case c.retired:
		c.retired = false
		p.retireLocked(c, c.why)
	default:
		p.serveLocked(c, c.born)
		p.placeLocked(c, c.born)
	}
}

// setSlotsLocked notes how many slots c offers, which ends its settling.
func (c *Conn[K, C]) setSlotsLocked(n int) {
	c.slots = n
	if n > 0 {
		c.origin.slotsSeen = n
	}
	if c.settling {
		c.origin.pace.Dialed(c.origin.pool.now().mono - c.dialed)
	}
	c.settledLocked()
	c.origin.pool.kickLocked(c.origin)
}

func (c *Conn[K, C]) settledLocked() {
	if c.settling {
		c.settling = false
		c.origin.settling--
		if c.watch != nil {
			c.watch.Stop()
			c.watch = nil
		}
		c.origin.pool.kickLocked(c.origin)
	}
}

// serveLocked hands c's free slots to waiters.
func (p *Pool[K, C]) serveLocked(c *Conn[K, C], now instant) {
	o := c.origin
	for c.leased < c.slots && !c.retired && !c.parked && o.waiters.n > 0 {
		p.answerLocked(p.nextLocked(o, now.mono), p.leaseLocked(c, now, false), nil)
	}
}

// placeLocked puts c where its leases and slots say that it belongs.
func (p *Pool[K, C]) placeLocked(c *Conn[K, C], now instant) {
	free := &c.origin.free
	switch {
	case c.leased >= c.slots || c.retired || c.parked:
		free.drop(c)
	case !free.has(c):
		free.add(c)
	}
	if c.leased == 0 && !p.idle.has(c) {
		p.fallIdleLocked(c, now)
	}
}

// fallIdleLocked takes c, whose last lease has ended or that nobody waited for,
// among the idle ones, or closes it.
func (p *Pool[K, C]) fallIdleLocked(c *Conn[K, C], now instant) {
	switch {
	case p.state != stateRunning:
		p.closeLocked(c, Closed)
		return
	case p.closeIdle:
		p.closeLocked(c, CloseIdle)
		return
	}
	o := c.origin
	c.idleSince = now
	p.idle.pushFront(c)
	o.idle.pushFront(c)
	if o.idle.n > p.cfg.MaxIdlePerKey {
		p.closeLocked(o.idle.last(), IdleLimit)
	}
	if p.idle.n > p.cfg.MaxIdle {
		p.closeLocked(p.idle.last(), IdleLimit)
	}
}

// retireLocked lets c take no new lease, and closes it if it has none.
func (p *Pool[K, C]) retireLocked(c *Conn[K, C], why Reason) {
	if c.retired || c.phase == ended {
		return
	}
	c.retired, c.why = true, why
	if c.phase == dialing {
		return
	}
	c.leaveLocked(why)
	c.origin.free.drop(c)
	c.settledLocked()
	p.dropDueLocked(c)
	if c.leased == 0 {
		p.closeLocked(c, why)
	}
}

// closeLocked removes c and queues it for Config.Close.
func (p *Pool[K, C]) closeLocked(c *Conn[K, C], why Reason) {
	p.removeLocked(c, why)
	c.why = why
	p.closing.pushBack(c)
	p.closingGrew = true
}

// removeLocked lets the pool forget c, which is open. Where it was retired the
// reason of that counts.
func (p *Pool[K, C]) removeLocked(c *Conn[K, C], why Reason) {
	o := c.origin
	if c.retired {
		why = c.why
	}
	c.leaveLocked(why)
	p.totals.Closed[why]++
	o.conns.remove(c)
	o.free.drop(c)
	if p.idle.has(c) {
		p.idle.remove(c)
		o.idle.remove(c)
	}
	c.settledLocked()
	p.dropDueLocked(c)
	if c.parked {
		c.parked = false
		o.parked--
	}
	if c.leaving {
		c.leaving = false
		o.leaving--
	}
	if c.leased > 0 {
		o.pace.Count(p.now().mono, o.leases)
	}
	o.open--
	p.open--
	if o.open <= growth.KeptAnyway {
		p.swollen.drop(o)
	}
	o.leases -= c.leased
	p.leases -= c.leased
	c.phase = ended
	p.kickLocked(o)
}
