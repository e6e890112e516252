package dialer

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// ledger knows which local ports the process uses, by destination and source:
// from the moment that a source is chosen until the connection is closed and the
// TIME_WAIT it may leave is over.
type ledger struct {
	// mu guards what follows, and everything that hangs on it: destinations,
	// accounts, leases, waiters. No system call and no callback under it.
	mu    sync.Mutex
	dests map[netip.AddrPort]*dest
	empty []*dest // emptied and kept for a while, oldest first

	aside map[netip.Addr]*pause // sources that are no addresses of this host

	suspects suspects
	flights  flights
	waits    []wait             // TIME_WAITs of ours, in the order in which they end
	waiting  map[*dest]struct{} // destinations with waiters
	tickets  uint64             // handed to waiters, to tell who waits longer
	wakes    []time.Duration    // for which a timer is set; the last one is the next

	// turn says at which place the search for the next source begins, so that
	// equals take turns. Destinations share it by hash: it would be too
	// much to remember for each, and is not worth it where two coincide.
	turn [256]int
	seed maphash.Seed
	born time.Time

	// refused counts the views of the kernel's own choice that are paused.
	// While it is zero, which is nearly always, a dial without Sources has
	// nothing to ask here.
	refused atomic.Int32
}

// maxEmpty is how many destinations without a port in use are remembered: for
// their pauses, and because the next dial probably goes there again.
const maxEmpty = 1024

// maxAccounts is how many sources of a destination are remembered before those
// are looked for that need not be: of a large prefix every dial has one of its own.
const maxAccounts = 1024

// ports is the ledger of the process: local ports are a resource of the host, so
// Dialers that know nothing of each other still compete for them.
var ports = newLedger()

func newLedger() *ledger {
	return &ledger{
		dests:    make(map[netip.AddrPort]*dest),
		aside:    make(map[netip.Addr]*pause),
		suspects: make(suspects),
		waiting:  make(map[*dest]struct{}),
		seed:     maphash.MakeSeed(),
		born:     time.Now(),
	}
}

// now is the time on the monotonic clock since the ledger was made.
func (l *ledger) now() time.Duration { return time.Since(l.born) }

// lock takes the mutex and brings the ledger up to date.
func (l *ledger) lock() time.Duration {
	now := l.now()
	l.mu.Lock()
	l.expireLocked(now)
	return now
}

// dest is a destination with its accounts.
type dest struct {
	ledger   *ledger
	addr     netip.AddrPort
	accounts map[accountKey]*account
	used     int           // ports in use on all accounts: the destination is empty at zero
	waiters  []*portWaiter // who waits for a port, longest first
	kept     bool          // in ledger.empty
	sweepAt  int           // with so many accounts, those without a port in use are forgotten

	// places are accounts by the places of their sources in the Dialer that was
	// here last, so that to look at all takes no search in the map for each.
	places []*account
}

// destLocked finds or makes a destination.
func (l *ledger) destLocked(dst netip.AddrPort) *dest {
	d := l.dests[dst]
	if d == nil {
		d = &dest{ledger: l, addr: dst, accounts: make(map[accountKey]*account, 1)}
		l.dests[dst] = d
		l.keepLocked(d)
	}
	return d
}

// keepLocked remembers an empty destination, and forgets the one that has been
// empty for longest if there are too many.
func (l *ledger) keepLocked(d *dest) {
	if d.kept {
		return
	}
	d.kept = true
	l.empty = append(l.empty, d)
	for len(l.empty) > maxEmpty {
		old := l.empty[0]
		l.empty[0] = nil
		l.empty = l.empty[1:]
		old.kept = false
		if old.used == 0 && len(old.waiters) == 0 {
			old.forgetLocked()
		}
	}
}

func (d *dest) forgetLocked() {
	for _, a := range d.accounts {
		a.forgetPausesLocked()
	}
	delete(d.ledger.dests, d.addr)
}

// accountLocked finds or makes the account of a source.
func (d *dest) accountLocked(key accountKey) *account {
	a := d.accounts[key]
	if a == nil {
		if len(d.accounts) >= max(d.sweepAt, maxAccounts) {
			d.sweepLocked()
		}
		a = &account{dest: d, key: key}
		d.accounts[key] = a
	}
	return a
}

// atLocked finds the account of the source at a place, if it has one.
func (d *dest) atLocked(place int, key accountKey) *account {
	if d == nil {
		return nil
	}
	if place < len(d.places) {
		if a := d.places[place]; a != nil && a.key == key {
			return a
		}
	}
	a := d.accounts[key]
	if a == nil || place >= 2*len(d.accounts) { // few of many sources are in use: it would be mostly empty
		return a
	}
	if n := place + 1 - len(d.places); n > 0 {
		d.places = append(d.places, make([]*account, n)...)
	}
	d.places[place] = a
	return a
}

// sweepLocked forgets the accounts without a port in use, and with them that the
// kernel has refused them, which is found out again.
func (d *dest) sweepLocked() {
	for key, a := range d.accounts {
		if a.pending+a.open+a.waits == 0 {
			a.forgetPausesLocked()
			delete(d.accounts, key)
		}
	}
	d.sweepAt, d.places = 2*len(d.accounts), nil
}

// add counts a connection from this very source.
func (l *ledger) add(q *ask, src netip.Addr) *lease {
	l.lock()
	defer l.mu.Unlock()
	a := l.destLocked(q.dst).accountLocked(accountKey{src: src})
	return a.viewLocked(q).leaseLocked()
}

// turnLocked is the place at which the search for a source for dst begins.
func (l *ledger) turnLocked(dst netip.AddrPort) *int {
	return &l.turn[maphash.Comparable(l.seed, dst)%uint64(len(l.turn))]
}

// waitsLocked is how many of the ports in use are in TIME_WAIT.
func (d *dest) waitsLocked() int {
	n := 0
	for _, a := range d.accounts {
		n += a.waits
	}
	return n
}
