package pool

import "time"

const (
	// demandWindows is for how many windows, the current one included, a key
	// keeps what it had in use.
	demandWindows = 3

	// ticksPerWindow is how often in a window surplus connections are closed, an
	// eighth of them each time: half of them are gone after a window.
	ticksPerWindow = 5

	// keptAnyway is how many connections of a key are no surplus whatever the
	// demand: a key that is used now and then should find one when it is.
	keptAnyway = 2
)

// demand is how many connections of an origin were in use at once, at most: in
// the current window first, and in those before. A connection that is opened
// counts as used once.
type demand [demandWindows]int

func (d *demand) note(n int) { d[0] = max(d[0], n) }

// peak is how many connections the origin needs.
func (d *demand) peak() int {
	most := keptAnyway
	for _, n := range d {
		most = max(most, n)
	}
	return most
}

// turn begins a new window with n in use.
func (d *demand) turn(n int) {
	copy(d[1:], d[:])
	d[0] = n
}

func (o *origin[K, C]) inUseLocked() int { return o.open - o.idle.n }

// swellLocked notes that o has one connection more. Origins that have more than
// they keep anyway are looked at again and again.
func (p *Pool[K, C]) swellLocked(o *origin[K, C], now instant) {
	o.demand.note(o.open)
	if o.open <= keptAnyway || p.swollen.has(o) || p.cfg.IdleWindow == maxDuration {
		return
	}
	if p.swollen.n == 0 {
		p.turned = now.mono
		p.tick = now.mono + p.tickLength()
	}
	p.swollen.pushBack(o)
}

func (p *Pool[K, C]) tickLength() time.Duration {
	return max(1, p.cfg.IdleWindow/ticksPerWindow)
}

// shrinkLocked closes a part of what is idle beyond demand, the least recently
// used first.
func (p *Pool[K, C]) shrinkLocked(now instant) {
	if p.swollen.n == 0 || now.mono < p.tick {
		return
	}
	p.tick = now.mono + p.tickLength()
	turn := now.mono-p.turned >= p.cfg.IdleWindow
	if turn {
		p.turned = now.mono
	}
	for o := p.swollen.first; o != nil; {
		next := p.swollen.after(o)
		for range o.surplusLocked() {
			p.closeLocked(o.idle.last(), Surplus)
		}
		if turn {
			o.demand.turn(o.inUseLocked())
		}
		o = next
	}
}

// surplusLocked is how many of o's idle connections are to be closed now.
func (o *origin[K, C]) surplusLocked() int {
	excess := min(o.open-max(o.demand.peak(), o.pool.cfg.MinPerKey), o.idle.n)
	return (max(excess, 0) + 7) / 8
}
