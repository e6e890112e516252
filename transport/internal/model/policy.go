package model

import "time"

// Policy is what pools differ in.
type Policy struct {
	// MaxIdlePerKey and MaxIdle limit the idle HTTP/1 connections, of one key
	// and in all. Zero: no limit. Beyond the first the connection that just
	// came free is closed, beyond the second the one that was used longest ago.
	MaxIdlePerKey, MaxIdle int

	// IdleTimeout closes a connection that has been idle for so long. Zero or
	// negative: never.
	IdleTimeout time.Duration

	// MaxDials limits the dials that run at once for one key, and dials are
	// weighed against waiting, as package pool does; a connection that was dialed
	// then serves whoever waits longest. Zero or negative: each request that finds
	// nothing idle dials, and is served by that if it still waits.
	MaxDials int

	// MaxDialsInAll limits the dials that run at once for all keys. It counts
	// only with MaxDials.
	MaxDialsInAll int

	// SlowDial is how long a dial counts against MaxDials and MaxDialsInAll. Zero
	// or negative: for as long as it takes.
	SlowDial time.Duration

	// IdleWindow sizes what is idle by demand, as pool.Config.IdleWindow does.
	// Zero or negative: it does not.
	IdleWindow time.Duration

	// Drain is how much of an abandoned HTTP/1 body is read on, in bytes, to
	// save its connection. Zero: nothing, and it is closed.
	Drain int64
}

// NetHTTP is what net/http documents for http.DefaultTransport.
func NetHTTP() Policy {
	return Policy{MaxIdlePerKey: 2, MaxIdle: 100, IdleTimeout: 90 * time.Second}
}

// StayOpen is a transport.Transport with the zero Config.
func StayOpen() Policy {
	return Policy{
		IdleTimeout:   90 * time.Second,
		MaxDials:      32,
		MaxDialsInAll: 256,
		SlowDial:      300 * time.Millisecond,
		IdleWindow:    10 * time.Second,
		Drain:         256 << 10,
	}
}

// weighs reports whether dials are weighed against waiting.
func (p Policy) weighs() bool { return p.MaxDials > 0 }
