package netconn

import (
	"context"
	"errors"
	"net"
	"slices"
	"time"

	"github.com/stayopen-go/stayopen/pool"
)

// Config says how a [Pool] dials and what it keeps. It is read once, by New. The
// zero Config is useful.
//
// A key is a network and an address, as DialContext was given them.
type Config struct {
	// Dial opens a connection: net.Dialer's DialContext, or one that goes on to
	// shake hands over TLS, read a greeting and log in. Nil: that of a net.Dialer
	// with a Timeout of 30 s.
	//
	// It is called from several goroutines at once, by the rules of
	// pool.Config.Dial: ctx carries the values of the DialContext that caused it,
	// but neither its cancellation nor its deadline, since another caller may get
	// the connection. So Dial needs a time limit of its own. A *tls.Conn that has
	// not shaken hands does so when Dial has returned, within 10 s.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// OneWay is for protocols in which nothing answers, such as log lines: a
	// connection whose last call was a Write is given back as well. Where
	// answers are to be expected it would hand them to the next caller.
	OneWay bool

	// MaxPerKey and MaxTotal limit the connections that are open or being dialed,
	// for one key and in all. DialContext waits when they are reached, and an
	// idle connection of another key is closed to make room under MaxTotal. Zero
	// or negative: no limit.
	MaxPerKey, MaxTotal int

	// MinPerKey is how many connections a key keeps open while it is in use, as
	// pool.Config.MinPerKey. Zero or negative: none.
	MinPerKey int

	// MaxIdlePerKey and MaxIdle limit the connections that nobody uses, for one
	// key and in all. The least recently used ones are closed. Zero: no limit.
	// Negative: none is kept.
	MaxIdlePerKey, MaxIdle int

	// MaxDialsPerKey and MaxDials limit how many dials run at once, for one key
	// and in all; one that takes longer than 300 ms no longer counts. Zero: 8 and
	// 256. Negative: no limit.
	MaxDialsPerKey, MaxDials int

	// Eager dials for each caller that finds no idle connection. Without it one
	// that will probably get a connection sooner from another caller waits for
	// that, as pool.Config.Eager explains.
	Eager bool

	// MaxWaitersPerKey and MaxWaiters limit how many callers wait, for one key
	// and in all, for a connection or a dial: one more fails with a
	// *pool.QueueFullError. Zero or negative: no limit.
	MaxWaitersPerKey, MaxWaiters int

	// WaitTimeout is how long DialContext waits at most, the time of a dial
	// included; then it fails with a *pool.WaitError. A dial that it caused goes
	// on. Zero or negative: until its context ends.
	WaitTimeout time.Duration

	// IdleTimeout is how long a connection may be idle. It should be less than
	// the peer's own limit. Zero or negative: no limit.
	IdleTimeout time.Duration

	// IdleWindow sizes what is idle by demand: what was not needed in the current
	// window or the two before it is closed step by step, as pool.Config.IdleWindow
	// explains. Zero: 10 s. Negative: all is kept.
	IdleWindow time.Duration

	// MaxAge is how old a connection may be, give or take a tenth, to be handed
	// out. One that grows older while it is in use is closed afterwards. Zero or
	// negative: no limit.
	MaxAge time.Duration

	// MaxUses is how often a connection is handed out. Zero or negative: no
	// limit.
	MaxUses int
}

// slowDial is how long a dial may hold others back: package net's time before it
// tries another address (RFC 8305).
const slowDial = 300 * time.Millisecond

// forPool is the part of c that package pool carries out.
func (c Config) forPool() pool.Config[key, *wire] {
	return pool.Config[key, *wire]{
		MaxPerKey: c.MaxPerKey, MaxTotal: c.MaxTotal, MinPerKey: c.MinPerKey,
		MaxIdlePerKey: c.MaxIdlePerKey, MaxIdle: c.MaxIdle,
		MaxDialsPerKey: c.MaxDialsPerKey, MaxDials: c.MaxDials,
		Eager: c.Eager, SlowDial: slowDial, FailsAll: failsAll, Scarce: scarce,
		MaxWaitersPerKey: c.MaxWaitersPerKey, MaxWaiters: c.MaxWaiters,
		WaitTimeout: c.WaitTimeout, IdleTimeout: c.IdleTimeout, IdleWindow: c.IdleWindow,
		MaxAge: c.MaxAge, MaxLeases: c.MaxUses,
	}
}

// failsAll reports whether err is of the network or of name resolution: other
// dials to the same address would meet it, too.
func failsAll(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	return errors.As(err, &op) || errors.As(err, &dns)
}

// scarce reports whether a dial failed for want of descriptors, which idle
// connections hold.
func scarce(err error) bool {
	return slices.ContainsFunc(errnoFiles, func(e error) bool { return errors.Is(err, e) })
}
