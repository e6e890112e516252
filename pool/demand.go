package pool

import "github.com/stayopen-go/stayopen/internal/growth"

func (o *origin[K, C]) inUseLocked() int { return o.open - o.idle.n }

// swellLocked notes that o has one connection more. Origins that have more than
// they keep anyway are looked at again and again.
func (p *Pool[K, C]) swellLocked(o *origin[K, C], now instant) {
	o.demand.Note(o.open)
	if o.open <= growth.KeptAnyway || p.swollen.has(o) || p.cfg.IdleWindow == maxDuration {
		return
	}
	if p.swollen.n == 0 {
		p.turned = now.mono
		p.tick = now.mono + growth.Tick(p.cfg.IdleWindow)
	}
	p.swollen.pushBack(o)
}

// shrinkLocked closes a part of what is idle beyond demand, the least recently
// used first.
func (p *Pool[K, C]) shrinkLocked(now instant) {
	if p.swollen.n == 0 || now.mono < p.tick {
		return
	}
	p.tick = now.mono + growth.Tick(p.cfg.IdleWindow)
	turn := now.mono-p.turned >= p.cfg.IdleWindow
	if turn {
		p.turned = now.mono
	}
	for o := p.swollen.first; o != nil; {
		next := p.swollen.after(o)
		for range o.demand.Surplus(o.open, o.idle.n, p.cfg.MinPerKey) {
			p.closeLocked(o.idle.last(), Surplus)
		}
		if turn {
			o.demand.Turn(o.inUseLocked())
		}
		o = next
	}
}
