package growth

import "time"

const (
	// Windows is for how many windows, the current one included, a key keeps what
	// it had in use.
	Windows = 3

	// ticksPerWindow is how often in a window surplus connections are closed, an
	// eighth of them each time: half of them are gone after a window.
	ticksPerWindow = 5

	// KeptAnyway is how many connections of a key are no surplus whatever the
	// demand: a key that is used now and then should find one when it is.
	KeptAnyway = 2
)

// Tick is how long after one look for surplus connections the next one is.
func Tick(window time.Duration) time.Duration { return max(1, window/ticksPerWindow) }

// Demand is how many connections of a key were in use at once, at most: in the
// current window first, and in those before. A connection that is opened counts as
// used once.
type Demand [Windows]int

// Note notes that n are in use.
func (d *Demand) Note(n int) { d[0] = max(d[0], n) }

// Turn begins a new window with n in use.
func (d *Demand) Turn(n int) {
	copy(d[1:], d[:])
	d[0] = n
}

// peak is how many connections the key needs.
func (d *Demand) peak() int {
	most := KeptAnyway
	for _, n := range d {
		most = max(most, n)
	}
	return most
}

// Surplus is how many idle connections of a key that has so many open, and is to
// keep at least so many, are to be closed at a tick.
func (d *Demand) Surplus(open, idle, least int) int {
	excess := min(open-max(d.peak(), least), idle)
	return (max(excess, 0) + 7) / 8
}
