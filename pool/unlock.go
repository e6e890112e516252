package pool

// kickLocked notes that something changed for o that could call for a dial,
// forbid one or leave o empty: a waiter came or went, a dial began or ended, a
// connection came or went, slots or the settling state changed. Whoever changes
// any of these calls it; unlock does the rest, so that no waiter is left behind
// by an event that nobody thought of.
func (p *Pool[K, C]) kickLocked(o *origin[K, C]) {
	if !p.dirty.has(o) {
		p.dirty.pushBack(o)
	}
}

// unlock draws the conclusions of what was changed under the mutex, lets go of
// it, and has closed what is to be closed.
func (p *Pool[K, C]) unlock() {
	if p.settle() {
		go p.closeQueued() // ends when the queue is empty
	}
}

// unlockAndClose is unlock for a goroutine that may call Config.Close itself.
func (p *Pool[K, C]) unlockAndClose() {
	if p.settle() {
		p.closeQueued()
	}
}

// settle unlocks. It reports whether connections were queued for Config.Close.
func (p *Pool[K, C]) settle() bool {
	p.startDialsLocked()
	p.armLocked()
	p.tellIfNothingIsLeftLocked()
	grew := p.closingGrew
	p.closingGrew = false
	cancels := p.cancels
	p.cancels = nil
	p.mu.Unlock()
	for _, cancel := range cancels {
		cancel()
	}
	return grew
}

// startDialsLocked starts the dials that the waiters call for, as far as the
// limits allow. Origins take turns, one dial each, the one that has waited
// longest first.
func (p *Pool[K, C]) startDialsLocked() {
	for {
		for o := p.dirty.popFront(); o != nil; o = p.dirty.popFront() {
			p.reviewLocked(o)
		}
		o := p.wanting.first
		if o == nil || !p.mayDialLocked() || !p.roomLocked() {
			if p.warming.n > 0 {
				p.warmLocked()
			}
			return
		}
		p.wanting.remove(o)
		p.startDialLocked(o)
		p.kickLocked(o)
	}
}

// warmLocked starts the dials of Warms that the dials of others have held up.
func (p *Pool[K, C]) warmLocked() {
	for o := p.warming.first; o != nil; {
		next := p.warming.after(o)
		p.spareLocked(o)
		p.forgetLocked(o)
		o = next
	}
}

// reviewLocked sees whether o wants a dial, and forgets it if it is empty.
func (p *Pool[K, C]) reviewLocked(o *origin[K, C]) {
	if o.waiters.n == 0 && p.state != stateRunning {
		o.cancelDialsLocked()
	}
	switch wants := o.wantsDialLocked(); {
	case !wants:
		p.wanting.drop(o)
	case !p.wanting.has(o):
		p.wanting.pushBack(o)
	}
	p.spareLocked(o)
	p.forgetLocked(o)
}

// forgetLocked forgets o if nothing is left of it.
func (p *Pool[K, C]) forgetLocked(o *origin[K, C]) {
	if o.emptyLocked() && p.origins[o.key] == o {
		p.rememberLocked(o)
		delete(p.origins, o.key)
		p.met.drop(o)
	}
}

// mayDialLocked reports whether Config.MaxDials allows one more dial.
func (p *Pool[K, C]) mayDialLocked() bool {
	return p.dialing-p.slowDials < p.cfg.MaxDials
}

// roomLocked reports whether Config.MaxTotal allows one more connection, after
// it has closed the least recently used idle one if need be.
func (p *Pool[K, C]) roomLocked() bool {
	if p.open+p.dialing < p.cfg.MaxTotal {
		return true
	}
	c := p.idle.last()
	if c == nil {
		return false
	}
	p.closeLocked(c, Evicted)
	return true
}

// owedLocked reports whether room under Config.MaxTotal is owed to another key
// rather than o: one that waits for it has waited longer than o's own waiters.
// That key is then the next to dial.
func (p *Pool[K, C]) owedLocked(o *origin[K, C]) bool {
	if p.open+p.dialing < p.cfg.MaxTotal || p.idle.n > 0 || !p.mayDialLocked() {
		return false
	}
	other := p.wanting.first
	if other == o {
		other = p.wanting.after(o)
	}
	if other == nil {
		return false
	}
	if own := o.waiters.first; own != nil && own.number < other.waiters.first.number {
		return false
	}
	p.wanting.remove(other)
	p.wanting.pushFront(other)
	return true
}

// closeQueued calls Config.Close for what is queued.
func (p *Pool[K, C]) closeQueued() {
	p.mu.Lock()
	for c := p.closing.popFront(); c != nil; c = p.closing.popFront() {
		p.closers++
		p.mu.Unlock()
		p.cfg.Close(c.value, c.why)
		p.mu.Lock()
		p.closers--
	}
	p.tellIfNothingIsLeftLocked()
	p.mu.Unlock()
}
