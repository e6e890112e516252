package pool

import "context"

// scarceTries is how often a dial that failed for want of what idle connections
// hold is tried again.
const scarceTries = 3

// EvictIdle closes up to n idle connections, the least recently used of any key
// first (Evicted), and returns how many it closed, after Config.Close has returned
// for each. It calls Config.Close itself. It is for whoever has run out of what a
// connection takes, descriptors or ports; Config.Scarce does this for dials.
func (p *Pool[K, C]) EvictIdle(n int) int {
	p.mu.Lock()
	var evicted []*Conn[K, C]
	for len(evicted) < n && p.idle.n > 0 {
		c := p.idle.last()
		p.removeLocked(c, Evicted)
		c.why = Evicted
		evicted = append(evicted, c)
	}
	// Not queued: whoever takes a queued one does not say when it is closed.
	p.closers += len(evicted)
	p.unlock()
	for _, c := range evicted {
		p.cfg.Close(c.value, Evicted)
	}
	p.mu.Lock()
	p.closers -= len(evicted)
	p.tellIfNothingIsLeftLocked()
	p.mu.Unlock()
	return len(evicted)
}

// dialPatiently calls Config.Dial, and calls it again after it failed for want of
// something that an idle connection, closed, has given back.
func (p *Pool[K, C]) dialPatiently(ctx context.Context, c *Conn[K, C]) (value C, slots int, err error) {
	for tries := 0; ; tries++ {
		value, slots, err = p.cfg.Dial(ctx, c.origin.key, c)
		if err == nil || p.cfg.Scarce == nil || tries == scarceTries || ctx.Err() != nil {
			return value, slots, err
		}
		// One for this dial and one for the next: others fail for the same want.
		if !p.cfg.Scarce(err) || p.EvictIdle(2) == 0 {
			return value, slots, err
		}
		p.mu.Lock()
		// What was said of a connection that came to nothing is not said of the next.
		c.slotsSet, c.gone, c.lost = false, false, ""
		c.dialed = p.now().mono
		p.mu.Unlock()
	}
}
