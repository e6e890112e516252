package dialer

import (
	"net/netip"
	"time"
)

// suspectFor is how long every address of a prefix is looked up before it is
// dialed from, once one was found that is not this host's. Most likely none is,
// and each dial would wait for an answer in vain. To look one up takes some 30 µs.
const suspectFor = 30 * time.Second

// suspects are prefixes of Dialer.Sources with an address that is not this host's,
// and until when they are suspected.
type suspects map[netip.Prefix]time.Duration

// suspect notes that the address is not this host's, if it is one of a prefix.
func (l *ledger) suspect(from sources, a netip.Addr) {
	p := from.holding(a)
	if !bindsAnyAddress || !p.IsValid() || p.IsSingleIP() {
		return
	}
	now := l.lock()
	defer l.mu.Unlock()
	if len(l.suspects) >= maxEmpty {
		clear(l.suspects)
	}
	l.suspects[p] = now + suspectFor
}

// suspectLocked reports whether the address is one of a suspect.
func (l *ledger) suspectLocked(from sources, a netip.Addr, now time.Duration) bool {
	if len(l.suspects) == 0 {
		return false
	}
	p := from.holding(a)
	until, found := l.suspects[p]
	if found && now >= until {
		delete(l.suspects, p)
	}
	return now < until
}
