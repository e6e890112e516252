package model

import "github.com/stayopen-go/stayopen/internal/growth"

// swell notes that o has one connection more. Origins that have more than they
// keep anyway are looked at again and again.
func (p *pool) swell(o *origin) {
	o.demand.Note(o.open)
	if o.open <= growth.KeptAnyway || o.swollen > 0 || p.policy.IdleWindow <= 0 {
		return
	}
	if len(p.swollen) == 0 {
		p.turned = p.now
		p.tick = p.now + growth.Tick(p.policy.IdleWindow)
	}
	p.swollen = append(p.swollen, o)
	o.swollen = len(p.swollen)
}

// unswell notes that o has one connection less.
func (p *pool) unswell(o *origin) {
	if o.open > growth.KeptAnyway || o.swollen == 0 {
		return
	}
	last := len(p.swollen) - 1
	other := p.swollen[last]
	p.swollen[o.swollen-1], p.swollen[last] = other, nil
	p.swollen = p.swollen[:last]
	other.swollen, o.swollen = o.swollen, 0
}

// shrink closes a part of what is idle beyond demand.
func (p *pool) shrink() {
	if len(p.swollen) == 0 || p.now < p.tick {
		return
	}
	p.tick = p.now + growth.Tick(p.policy.IdleWindow)
	turn := p.now-p.turned >= p.policy.IdleWindow
	if turn {
		p.turned = p.now
	}
	for i := len(p.swollen) - 1; i >= 0; i-- { // whoever leaves is replaced by one that was looked at
		o := p.swollen[i]
		for range o.demand.Surplus(o.open, len(o.idle), 0) {
			c := o.idle[0]
			p.unidle(c)
			p.close(c)
		}
		if turn {
			o.demand.Turn(o.open - len(o.idle))
		}
	}
}
