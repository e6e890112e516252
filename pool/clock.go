package pool

import "time"

// instant is a moment on two clocks. The monotonic one stands still while the
// machine sleeps (Linux, macOS), or is stopped with all that runs on it, as virtual
// ones are for a snapshot; and the wall clock can be set back. A peer's patience is
// measured by none of these accidents, so both are kept. A wall clock that is set
// forward looks the same as a virtual machine that was stopped, on every clock that
// there is. It is taken for that: connections that are closed for nothing cost a dial
// each, and those that their peers have given up cost their callers an error.
type instant struct {
	mono time.Duration // since the pool was made
	wall int64         // Unix time in nanoseconds
}

// since returns the time that went by from earlier to i, by the clock that
// counted more of it. It is never negative.
func (i instant) since(earlier instant) time.Duration {
	return max(0, i.mono-earlier.mono, time.Duration(i.wall-earlier.wall))
}

// now may be called with and without the mutex.
func (p *Pool[K, C]) now() instant {
	t := time.Now()
	return instant{mono: t.Sub(p.born), wall: t.UnixNano()}
}
