package pool

import (
	"context"
	"errors"
	"math"
	"time"
)

// Reason says why a connection was closed or retired. It is a short lower-case
// word that can be used as a metric's attribute. A caller of [Lease.Retire] and
// [Conn.Retire] brings its own.
type Reason string

// The pool's own reasons.
const (
	IdleTimeout Reason = "idle_timeout" // idle for Config.IdleTimeout, or for its own limit
	MaxAge      Reason = "max_age"      // older than its share of Config.MaxAge
	MaxLeases   Reason = "max_leases"   // had as many leases as Config.MaxLeases or Conn.SetLeasesLeft allows
	IdleLimit   Reason = "idle_limit"   // too many idle, for the key or in all
	Surplus     Reason = "surplus"      // more than the key had in use at once of late
	Evicted     Reason = "evicted"      // idle, and made room: under a limit of Config, or after Config.Scarce or Pool.EvictIdle
	CloseIdle   Reason = "close_idle"   // Pool.CloseIdle was called
	Closed      Reason = "pool_closed"  // Pool.Close or Pool.Shutdown was called
)

// defaultDialsPerKey is what Config.MaxDialsPerKey means when it is zero: enough
// for a burst to open its connections in a few rounds, and not so many that TLS
// handshakes get in each other's way. With 8, bursts at a distance of 5 ms took half
// as long again as with 32; over TLS 32 take longer, and still half as long as a
// dial for everybody.
const defaultDialsPerKey = 32

// enoughFailures in a row, none open, are taken to be what every dial will meet.
const enoughFailures = 8

// defaultDials is what Config.MaxDials means when it is zero.
const defaultDials = 256

// defaultIdleWindow is what Config.IdleWindow means when it is zero: bursts that
// come every ten or twenty seconds find what the last one left.
const defaultIdleWindow = 10 * time.Second

// Config is what a pool is made from. New copies it; later changes have no
// effect. The pool calls the functions in it from several goroutines at once,
// never while it holds a lock, and all of them may call any method of the pool,
// of a lease and of a connection, with one exception: Dial must not call
// [Pool.Close], which waits a second for Dial to return.
type Config[K comparable, C any] struct {
	// Dial opens a connection for key. Required.
	//
	// It runs in a goroutine of its own and serves whoever waits longest when it
	// returns. ctx carries the values of the Get that caused it, but neither its
	// cancellation nor its deadline: Dial needs a time limit of its own. ctx is
	// cancelled by Pool.Close; by Pool.CloseIdle, if nobody waits for key any
	// more; and after Pool.Shutdown as soon as nobody does. It is also
	// cancelled once Dial has returned.
	//
	// pc is the pool's handle of the connection to be. Dial may store it and use
	// it before it returns.
	//
	// slots is how many leases the connection offers at once, 1 for HTTP/1. Zero
	// or less means "one for now, pc.SetSlots will say": the connection is
	// settling, and while there is a settling connection for key no further dial
	// starts for it. If pc.SetSlots was called before Dial returns, that call
	// counts and slots is ignored.
	//
	// err is returned by a Get as it is. With err != nil the pool ignores c.
	Dial func(ctx context.Context, key K, pc *Conn[K, C]) (c C, slots int, err error)

	// Close closes c. Required. It is called once for each connection that the
	// pool closes, and never for one that was Gone or Detached before.
	//
	// Except in Pool.Close and Pool.EvictIdle it runs in a goroutine of the pool, never in that of
	// whoever ended a lease or called Get: they may hold locks that Close
	// takes. Connections that are closed by one event are closed one after the
	// other, so Close should not block for long.
	Close func(c C, why Reason)

	// MaxPerKey and MaxTotal limit the connections that are open or being
	// dialed, for one key and in all. A retired connection counts until it is
	// closed. Zero or negative: no limit.
	//
	// Under MaxTotal the connections go where demand is: the least recently used
	// idle one of any key is closed (Evicted) for a key that has waiters and no
	// connection to come. Where none is idle, one whose last lease ends goes to
	// whoever waits longest, of its own key or of such a one.
	MaxPerKey, MaxTotal int

	// MinPerKey is how many connections a key keeps open, in use or idle, as far
	// as the limits allow, while it is in use: until ten minutes, or IdleTimeout if
	// that is less, after its last lease. What it has lost is replaced at once, as
	// often as that is in a second, unless its last dial failed. What is about to
	// reach MaxAge is replaced before, where the pool sees it in time. It begins
	// with a key's first Get. Zero or negative: none.
	MinPerKey int

	// MaxIdlePerKey and MaxIdle limit the connections without a lease, for one
	// key and in all. The least recently used ones are closed (IdleLimit).
	// Zero: no limit. Negative: none is kept.
	MaxIdlePerKey, MaxIdle int

	// MaxDialsPerKey and MaxDials limit how many dials run at once, for one key
	// and in all. Zero: 32 and 256. Negative: no limit.
	MaxDialsPerKey, MaxDials int

	// Eager dials for each waiter at once, as far as the limits allow. Without
	// it those waiters have to do without a dial for which a connection in use
	// will probably come free before a dial would be done, until their waiting
	// has cost as much as a dial. That spares connections, and time where
	// dialing costs the time of a processor, as TLS does.
	Eager bool

	// SlowDial is how long a dial, together with the settling after it, may hold
	// others back. One that takes longer goes on, but no longer counts against
	// MaxDialsPerKey, MaxDials and DialAlone, and is counted on by nobody but the waiter
	// that caused it: a dial that hangs must not hang up its key. Zero or
	// negative: it counts for as long as it takes.
	SlowDial time.Duration

	// FailsAll reports whether a dial that failed with err says what every
	// other dial for the key would meet: nobody listens, say. When as many dials
	// have failed in a row as may run at once (8 at most), the last of them with
	// such an error, and nothing is open for the key, then all waiters get the
	// error that have no dial of their own and waited already when that dial
	// began: otherwise many waiters would fail at the pace of few dials. nil:
	// there are no such errors.
	FailsAll func(err error) bool

	// MaxWaiters and MaxWaitersPerKey limit how many Gets wait, in all and for one
	// key, for a slot or a dial: one more fails with a [*QueueFullError]. Zero or
	// negative: no limit.
	MaxWaiters, MaxWaitersPerKey int

	// WaitTimeout is how long a Get waits at most, for a slot or a dial; then it
	// fails with a [*WaitError]. A dial that it caused goes on. Zero or negative:
	// until its context ends.
	WaitTimeout time.Duration

	// Scarce reports whether a dial failed with err because this process has run
	// out of something that its open connections hold: descriptors, local ports,
	// memory. Then up to two idle connections of any key are closed (Evicted), and
	// when Close has returned for them the dial is tried again, three times at
	// most. Without an idle connection it fails. nil: there are no such errors.
	Scarce func(err error) bool

	// IdleTimeout is how long a connection may be idle. Zero or negative: no
	// limit. This and MaxAge are measured by the monotonic or the wall clock,
	// whichever counts more: time in which the machine sleeps or stands still
	// counts, and so does what the wall clock is set forward by, while one that is
	// set back keeps nothing open for longer.
	IdleTimeout time.Duration

	// IdleWindow sizes what is idle by demand. A key keeps as many connections as
	// it had in use at once in the current window or the two before, and two in
	// any case; connections opened count as used once. Of what is idle beyond
	// that an eighth is closed every fifth of a window (Surplus), one at
	// least, so that half of it is gone after one. The least recently used ones
	// go first. What stays is left to IdleTimeout and the other limits, which
	// apply as well. Zero: 10 s. Negative: whatever the demand, all is kept.
	IdleWindow time.Duration

	// MaxAge is how long after it was dialed a connection takes new leases. Each
	// connection gets a limit of its own, chosen at random between 90 % and
	// 100 % of MaxAge, so that connections opened together do not end together.
	// Zero or negative: no limit.
	MaxAge time.Duration

	// MaxLeases is how many leases a connection gives before it is retired.
	// [Conn.SetLeasesLeft] says otherwise for a single one. Zero or negative: no
	// limit.
	MaxLeases int

	// DialAlone reports whether only one dial at a time shall run for key as
	// long as it is not known how many slots its connections offer: an HTTP/2
	// server may turn out to serve everybody on one. After a dial that failed
	// there may be as many as otherwise. It is asked when the key
	// becomes known to the pool, and again after the key had nothing left. nil:
	// never.
	DialAlone func(key K) bool
}

// withDefaults checks c and resolves what zero and negative mean, so that the
// limits can be compared with as they are.
func (c Config[K, C]) withDefaults() (Config[K, C], error) {
	switch {
	case c.Dial == nil:
		return c, errors.New("pool: Config.Dial is nil")
	case c.Close == nil:
		return c, errors.New("pool: Config.Close is nil")
	}
	c.MaxPerKey = limit(c.MaxPerKey, math.MaxInt, math.MaxInt)
	c.MinPerKey = max(c.MinPerKey, 0)
	c.MaxTotal = limit(c.MaxTotal, math.MaxInt, math.MaxInt)
	c.MaxIdlePerKey = limit(c.MaxIdlePerKey, math.MaxInt, 0)
	c.MaxIdle = limit(c.MaxIdle, math.MaxInt, 0)
	c.MaxDialsPerKey = limit(c.MaxDialsPerKey, defaultDialsPerKey, math.MaxInt)
	c.MaxDials = limit(c.MaxDials, defaultDials, math.MaxInt)
	c.SlowDial = limit(c.SlowDial, math.MaxInt64, math.MaxInt64)
	c.MaxWaiters = limit(c.MaxWaiters, math.MaxInt, math.MaxInt)
	c.MaxWaitersPerKey = limit(c.MaxWaitersPerKey, math.MaxInt, math.MaxInt)
	c.WaitTimeout = limit(c.WaitTimeout, math.MaxInt64, math.MaxInt64)
	c.IdleTimeout = limit(c.IdleTimeout, math.MaxInt64, math.MaxInt64)
	c.IdleWindow = limit(c.IdleWindow, defaultIdleWindow, math.MaxInt64)
	c.MaxLeases = limit(c.MaxLeases, math.MaxInt, math.MaxInt)
	c.MaxAge = limit(c.MaxAge, math.MaxInt64, math.MaxInt64)
	return c, nil
}

// limit is n, or what stands for it when it is zero or negative.
func limit[N int | time.Duration](n, zero, negative N) N {
	switch {
	case n == 0:
		return zero
	case n < 0:
		return negative
	}
	return n
}
