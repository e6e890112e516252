package growth

import "time"

// Pace is what was learned of one key: how soon a slot of its connections comes
// free and how long a dial takes. All of it is in nanoseconds, as floats: the
// lease time of many connections over days would not fit an integer. The zero
// value knows nothing. Its methods are not safe for concurrent use.
type Pace struct {
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

// Count brings the account up to now, before the number of leases changes. Some
// read the clock before they have their mutex, so now may have passed already.
func (p *Pace) Count(now time.Duration, leases int) {
	if now <= p.at {
		return
	}
	gone := float64(now - p.at)
	p.busy += gone * float64(leases)
	p.debt += gone * p.rate
	p.at = now
}

// SlotFreed notes that a slot came free after it was taken for held. What was
// long ago counts for less and less, and more of it is remembered where more
// connections are open: when all of them begin at once, none ends for a while.
func (p *Pace) SlotFreed(held time.Duration, open int) {
	p.freed++
	if p.freed > float64(32+2*open) {
		p.busy /= 2
		p.freed /= 2
	}
	// One step down for nine steps up: it rests where one in ten is below.
	switch h := float64(held); {
	case p.quick == 0:
		p.quick = h
	case h < p.quick:
		p.quick -= p.quick * 9 / 64
	default:
		p.quick += p.quick / 64
	}
}

// Quick is how long nine of ten leases are out at least, about; 0: not known.
func (p *Pace) Quick() time.Duration { return time.Duration(p.quick) }

// DialBegan notes that a dial began, with so many leases out: what the waiters
// have run up is paid.
func (p *Pace) DialBegan(now time.Duration, leases int) {
	p.Count(now, leases)
	p.debt = 0
}

// Dialed notes that a connection could be leased after this time. One dial that
// took much longer, because a packet was lost, does not count for all of it.
func (p *Pace) Dialed(took time.Duration) {
	d := float64(took)
	if p.dial == 0 {
		p.dial = d
		return
	}
	p.dial += (min(d, 4*p.dial) - p.dial) / 4
}

// LeastDial is what a dial has to take for anything to be weighed against it: one
// that is done sooner costs less than waiting, with its timer and a switch of
// goroutines.
const LeastDial = 100 * time.Microsecond

// known reports whether there is anything to compare.
func (p *Pace) known() bool { return p.dial >= float64(LeastDial) && p.freed > 0 }

// frees is how many slots are likely to come free in the time that a dial takes.
func (p *Pace) frees(leases int) float64 {
	return float64(leases) * p.dial * p.freed / max(p.busy, 1)
}
