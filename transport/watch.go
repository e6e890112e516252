package transport

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"
)

// resident is a connection to an address of a host. Its methods are not called
// under a mutex.
type resident interface {
	takeLeave() // from now on each exchange on it is to be the last
	leave()     // it is retired
}

// watch is a host that connections were dialed to by its name. The mutex of names
// guards it, but for used.
type watch struct {
	names *names
	host  string
	known [2]sightings // IPv4's and IPv6's
	conns map[resident]stay

	used  atomic.Bool        // a connection was used again since the last lookup
	due   time.Time          // when the next lookup is, if there is use for it
	timer *time.Timer        // nil before there was use for one; stopped when conns is empty
	stop  context.CancelFunc // ends the lookup that is under way; nil if none is
}

// stay is a connection's place with its host.
type stay struct {
	addr   netip.Addr
	leaves time.Time // when it takes leave, and then when it leaves; zero while its address is not gone
	taken  bool      // it has taken leave
}

// family is what is known of addresses such as addr.
func (w *watch) family(addr netip.Addr) *sightings {
	if addr.Is4() {
		return &w.known[0]
	}
	return &w.known[1]
}

// addLocked takes in a connection that was just dialed: its address was in an
// answer, whoever got that.
func (w *watch) addLocked(now time.Time, addr netip.Addr, r resident) {
	w.family(addr).see(now, addr)
	w.conns[r] = stay{addr: addr}
}

// familiesLocked are those of the connections' addresses.
func (w *watch) familiesLocked() (f families) {
	for _, s := range w.conns {
		f[0] = f[0] || s.addr.Is4()
		f[1] = f[1] || !s.addr.Is4()
	}
	return f
}

// answerLocked takes in what a lookup has said. Connections to addresses that are
// gone are to leave at moments spread over the time until the next.
func (w *watch) answerLocked(now time.Time, a answer) {
	for i, said := range a.said {
		if said {
			w.known[i].answer(now, a.addrs[i])
		}
	}
	for r, s := range w.conns {
		if s.taken {
			continue
		}
		switch gone := w.family(s.addr).gone(now, s.addr); {
		case !gone:
			s.leaves = time.Time{}
		case s.leaves.IsZero():
			s.leaves = now.Add(rand.N(w.names.interval))
		}
		w.conns[r] = s
	}
}

// departuresLocked are the connections whose time has come: those that take leave,
// and those that have had time for a last exchange since and leave.
func (w *watch) departuresLocked(now time.Time) (taking, leaving []resident) {
	for r, s := range w.conns {
		switch {
		case s.leaves.IsZero() || now.Before(s.leaves):
		case s.taken:
			leaving = append(leaving, r)
			delete(w.conns, r)
		default:
			taking = append(taking, r)
			s.taken, s.leaves = true, now.Add(w.names.interval/2)
			w.conns[r] = s
		}
	}
	return taking, leaving
}

// nextLocked is when there is something to do, zero if there is nothing.
func (w *watch) nextLocked() (next time.Time) {
	if w.used.Load() && w.stop == nil {
		next = w.due
	}
	for _, s := range w.conns {
		if !s.leaves.IsZero() && (next.IsZero() || s.leaves.Before(next)) {
			next = s.leaves
		}
	}
	return next
}
