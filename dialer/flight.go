package dialer

import (
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"time"
)

// lookEvery is how often those dials are looked at that have had no answer for
// as long. It is longer than nearly every way to a host and back, and shorter
// than the second after which the first packet is sent again (RFC 6298).
const lookEvery = 500 * time.Millisecond

// flight is an attempt from a source of ours, from the choice of that source to
// the end of the attempt. If the address is taken from the host meanwhile, the
// kernel does not say so. The answer is nobody's, and the socket waits for it: for
// 134 s with the settings of Linux 6.18, in which it sends nothing (IPv4) or in
// vain (IPv6), unless the address comes back. With IPv6 it does the same if the
// address is one of a prefix and has never been this host's.
//
// Its attempt owns it. While it is among the ledger's flights the ledger's mutex
// guards it, but for the socket, which the attempt makes known once.
type flight struct {
	ask        *ask
	lease      *lease
	since      time.Duration
	prev, next *flight

	socket syscall.RawConn // not to be read unless it is known
	known  atomic.Bool
}

// sent makes known on which socket the attempt is made.
func (f *flight) sent(socket syscall.RawConn) {
	f.socket = socket
	f.known.Store(true)
}

// flights are those of the process, the oldest first.
type flights struct {
	first, last *flight
	look        time.Duration // when a timer ends, or has ended, that looks at them
}

// departLocked adds the flight of an attempt. A timer is set once in a while, not
// for each.
func (l *ledger) departLocked(q *ask, lease *lease, now time.Duration) {
	f := q.flight
	if f == nil || !lease.src.IsValid() {
		return
	}
	f.known.Store(false)
	f.ask, f.lease, f.since, f.prev, f.next = q, lease, now, l.flights.last, nil
	lease.suspect = l.suspectLocked(q.from, lease.src, now)
	if lease.flight = f; f.prev != nil {
		f.prev.next = f
	} else {
		l.flights.first = f
	}
	l.flights.last = f
	l.lookLaterLocked(now)
}

// arriveLocked takes a flight out, whatever came of it.
func (l *ledger) arriveLocked(f *flight) {
	if f.prev != nil {
		f.prev.next = f.next
	} else {
		l.flights.first = f.next
	}
	if f.next != nil {
		f.next.prev = f.prev
	} else {
		l.flights.last = f.prev
	}
	f.lease.flight = nil
	f.ask, f.lease, f.prev, f.next = nil, nil, nil, nil
}

// lookLaterLocked sees that a timer runs. One whose time is over is not counted
// on: it may belong to a synctest bubble that is no more.
func (l *ledger) lookLaterLocked(now time.Duration) {
	if now < l.flights.look {
		return
	}
	l.flights.look = now + lookEvery
	time.AfterFunc(lookEvery, l.lookAtFlights)
}

// lookAtFlights is the timer's function.
func (l *ledger) lookAtFlights() {
	var all []waiting
	now := l.lock()
	if l.flights.first != nil {
		l.lookLaterLocked(now)
	}
	for f := l.flights.first; f != nil && now-f.since >= lookEvery; f = f.next {
		if f.known.Load() {
			all = append(all, waiting{f.lease, f.ask.from, f.socket})
		}
	}
	l.mu.Unlock()
	seen := look{there: make(map[netip.Addr]bool)}
	for _, w := range all {
		if !seen.there[w.src] && !seen.whole.contain(w.src) {
			w.socket.Control(func(fd uintptr) { seen.at(int(fd), w) }) // fails if it is closed by now
		}
	}
}

// waiting is a flight to be looked at.
type waiting struct {
	*lease
	from   sources
	socket syscall.RawConn
}

// look is what was found out so far about the sources of flights. Thousands may
// wait that have a few, or a few prefixes, in common.
type look struct {
	there  map[netip.Addr]bool
	whole  sources // every address of these is there
	routes localRoutes
}

// at ends the attempt if its source is gone.
func (k *look) at(fd int, w waiting) {
	if !unanswered(fd) {
		return
	}
	whole, gone := k.routes.whereabouts(fd, w.src, w.from.holding(w.src).IsSingleIP())
	if !gone {
		if k.there[w.src] = true; whole.IsValid() && !whole.IsSingleIP() {
			k.whole = append(k.whole, whole)
		}
		return
	}
	if w.forsake() {
		hangUp(fd)
	}
}

// errGone is what the kernel would have said, had the source been gone before.
var errGone = os.NewSyscallError("bind", syscall.EADDRNOTAVAIL)

// forsake notes that the source of an attempt is gone, if there is another for
// the dial to go on with. If not, it is left alone: the source may come back. From
// a prefix there are others, which may be gone as well.
func (l *lease) forsake() bool {
	ledger := l.ledger()
	ledger.lock()
	defer ledger.mu.Unlock()
	if l.flight == nil {
		return false
	}
	q := l.flight.ask
	l.forsaken = q.from.left(q.dst.Addr().Is6(), append(slices.Clip(q.tried), l.src))
	return l.forsaken
}

// verdict is the error of an attempt that failed: its socket's, unless that is
// our own doing.
func (l *lease) verdict(err error) error {
	if l == nil {
		return err
	}
	ledger := l.ledger()
	ledger.mu.Lock()
	defer ledger.mu.Unlock()
	if l.forsaken {
		return errGone
	}
	return err
}
