package pool

import "time"

// instant is a moment on two clocks. The monotonic one stands still while the
// machine sleeps (Linux, macOS) and the wall clock can be set back; a peer's
// patience is measured by neither of these accidents, so both are kept.
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
