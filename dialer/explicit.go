package dialer

import (
	"math/rand/v2"
	"time"
)

// explicitPool deals out the ports of Dialer.ExplicitPorts for one source and one
// destination: those never used first, then the one whose use ended longest ago.
// The ledger's mutex guards it.
type explicitPool struct {
	ports   PortRange
	start   int // where it begins: programs that share a range should not meet
	fresh   int // how many ports have been dealt out
	freed   []uint16
	others  map[uint16]time.Duration // found in use, and when to look again
	closing time.Duration            // how long one of ours that was found in use is left alone, see closingTime
}

// foreignTime is how long a port that somebody else uses is left alone: as long
// as the TIME_WAIT lasts in which it may be.
const foreignTime = timeWaitTime

func newExplicitPool(r PortRange) *explicitPool {
	return &explicitPool{ports: r, start: rand.IntN(r.size())}
}

// take deals out a port that is free as far as this process knows.
func (p *explicitPool) take(now time.Duration) (port uint16, ok bool) {
	if n := p.ports.size(); p.fresh < n {
		port = p.ports.Lo + uint16((p.start+p.fresh)%n)
		p.fresh++
		return port, true
	}
	if len(p.freed) == 0 {
		p.reclaim(now)
	}
	if len(p.freed) == 0 {
		return 0, false
	}
	port = p.freed[0]
	p.freed = p.freed[1:]
	return port, true
}

// left reports whether take would deal out another port.
func (p *explicitPool) left(now time.Duration) bool {
	if p.fresh < p.ports.size() || len(p.freed) > 0 {
		return true
	}
	p.reclaim(now)
	return len(p.freed) > 0
}

// giveBack takes a port whose use has ended. Its TIME_WAIT, if it left one, is no
// obstacle: an explicitly bound socket may take it over.
func (p *explicitPool) giveBack(port uint16) {
	p.freed = append(p.freed, port)
	p.closing = 0
}

// closingTime is how long a port is left alone at most whose last connection is
// ours and has not come to its TIME_WAIT yet, because the peer's FIN is still to
// come. That is mostly a matter of one round trip, so it begins with as long as
// the pause that follows if there is no other port, and is doubled as long as none
// of these ports can be had.
const closingTime = time.Second

// refused takes a port that the kernel would not have: somebody else uses it, or
// a connection of ours is still on its way to TIME_WAIT.
func (p *explicitPool) refused(port uint16, ours bool, now time.Duration) {
	if p.others == nil {
		p.others = make(map[uint16]time.Duration)
	}
	p.others[port] = now + foreignTime
	if ours {
		p.closing = max(p.closing, pausePorts.first)
		p.others[port] = now + p.closing
	}
}

// reclaim gives ports that were found in use another chance when their time is up.
func (p *explicitPool) reclaim(now time.Duration) {
	before := len(p.freed)
	for port, until := range p.others {
		if until <= now {
			delete(p.others, port)
			p.freed = append(p.freed, port)
		}
	}
	if len(p.freed) > before {
		p.closing = min(2*p.closing, closingTime)
	}
}
