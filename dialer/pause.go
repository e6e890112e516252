package dialer

import "time"

// pause is a time for which the kernel is not asked again what it has just
// refused. It grows with every refusal that follows it. When it is over, one dial
// tries.
type pause struct {
	until   time.Duration // on the ledger's clock; 0: no pause
	step    time.Duration
	counted bool // in ledger.refused
}

// limits of a pause: the first, and the longest.
type pauseLimits struct{ first, longest time.Duration }

var (
	// A connect that finds no port searches the whole range, which takes some
	// milliseconds. Ports of other processes come free unseen.
	pausePorts = pauseLimits{25 * time.Millisecond, time.Second}
	// To find that an address is not there costs one bind.
	pauseSource = pauseLimits{100 * time.Millisecond, time.Second}
	// No route, or a neighbor that does not answer, which takes 3 s.
	pausePath = pauseLimits{time.Second, 30 * time.Second}
)

// begin starts a pause, twice as long as the one before if that was over: what
// was under way when it began is refused a moment later and says nothing new.
func (p *pause) begin(now time.Duration, limits pauseLimits, probe bool) {
	switch {
	case p.step == 0:
		p.step = limits.first
	case now < p.until && !probe:
		return
	default:
		p.step = min(2*p.step, limits.longest)
	}
	p.until = now + p.step
}

// clear ends the pause and reports whether there was one.
func (p *pause) clear() bool {
	was := p.on()
	p.until, p.step = 0, 0
	return was
}

// on reports whether there is a pause, be it over or not.
func (p *pause) on() bool { return p != nil && p.step != 0 }

// holds reports whether the pause is not over yet.
func (p *pause) holds(now time.Duration) bool { return p.on() && now < p.until }

// probe is for a dial that tries although there was a pause: the others stay
// away until it is known what comes of it. It reports whether there was one.
func (p *pause) probe(now time.Duration) bool {
	if !p.on() {
		return false
	}
	p.until = max(p.until, now+p.step)
	return true
}
