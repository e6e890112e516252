package pool

import "time"

// pace is what an origin has learned of how soon a slot comes free and how long
// a dial takes. All of it is in nanoseconds, as floats: the lease time of many
// connections over days would not fit an integer.
type pace struct {
	at time.Duration // up to when busy and debt are counted, on the monotonic clock

	// busy is the time that leases have been out, all added up, and freed how
	// many slots have come free meanwhile. Their quotient is the mean time that a
	// slot is taken, as Little's law has it. It needs no record of a single
	// lease, those that do not end count while they do not, and those that end
	// without leaving a slot behind count as ones that never end.
	busy, freed float64

	dial  float64 // how long a dial takes until it can be leased, 0: not known
	quick float64 // nine of ten leases are out for longer

	// debt is what waiting instead of dialing has cost since the last dial, and
	// rate how much of it comes with each moment.
	debt, rate float64
}

// count brings the account up to now, before the number of leases changes. Some
// read the clock before they have the mutex, so now may have passed already.
func (e *pace) count(now time.Duration, leases int) {
	if now <= e.at {
		return
	}
	gone := float64(now - e.at)
	e.busy += gone * float64(leases)
	e.debt += gone * e.rate
	e.at = now
}

// slotFreed notes that a slot came free after it was taken for held. What was
// long ago counts for less and less, and more of it is remembered where more
// connections are open: when all of them begin at once, none ends for a while.
func (e *pace) slotFreed(held time.Duration, open int) {
	e.freed++
	if e.freed > float64(32+2*open) {
		e.busy /= 2
		e.freed /= 2
	}
	// One step down for nine steps up: it rests where one in ten is below.
	switch h := float64(held); {
	case e.quick == 0:
		e.quick = h
	case h < e.quick:
		e.quick -= e.quick * 9 / 64
	default:
		e.quick += e.quick / 64
	}
}

// dialed notes that a connection could be leased after this time. One dial that
// took much longer, because a packet was lost, does not count for all of it.
func (e *pace) dialed(took time.Duration) {
	d := float64(took)
	if e.dial == 0 {
		e.dial = d
		return
	}
	e.dial += (min(d, 4*e.dial) - e.dial) / 4
}

// leastDial is what a dial has to take for anything to be weighed against it: one
// that is done sooner costs less than waiting, with its timer and a switch of
// goroutines.
const leastDial = 100 * time.Microsecond

// known reports whether there is anything to compare.
func (e *pace) known() bool { return e.dial >= float64(leastDial) && e.freed > 0 }

// frees is how many slots are likely to come free in the time that a dial takes.
func (e *pace) frees(leases int) float64 {
	return float64(leases) * e.dial * e.freed / max(e.busy, 1)
}
