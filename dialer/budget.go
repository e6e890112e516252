package dialer

import (
	"iter"
	"net/netip"
	"time"
)

// Budget says how many local ports one source has in use towards one
// destination. The kernel needs a port to be unique only among the connections
// with the same source and destination (address and port), so each pair has the
// whole range to itself.
type Budget struct {
	// Source is the local address; the zero Addr if the kernel chooses it.
	Source netip.Addr

	// Destination is the address and port dialed.
	Destination netip.AddrPort

	// Open is the number of connections, with those being dialed.
	Open int

	// TimeWait is the number of ports on which a close of this process has left
	// a TIME_WAIT, for a minute. As CloseRecord.TimeWait it is an upper bound.
	TimeWait int

	// Size is how many ports there are to choose from:
	// net.ipv4.ip_local_port_range without net.ipv4.ip_local_reserved_ports, or
	// what Dialer.PortRange leaves of it, or Dialer.ExplicitPorts. If Dialers
	// with several PortRanges are in use, of the widest. What the kernel is set to
	// is read again after 5 s.
	Size int

	// ResumesAt is when the next dial may ask the kernel for a port again, after
	// it had none in the range that Size is of. A port of this process that comes
	// free ends the pause sooner. Zero if there is no pause.
	ResumesAt time.Time
}

// Used is the share of the ports that is in use: 0 is none, 1 is all. It can be
// more than 1, because a port in TIME_WAIT may be used again by the kernel.
func (b Budget) Used() float64 { return float64(b.Open+b.TimeWait) / float64(max(b.Size, 1)) }

// Room is the number of ports left, at least 0.
func (b Budget) Room() int { return max(b.Size-b.Open-b.TimeWait, 0) }

// Budgets goes through the port budgets of the process, in no particular order:
// one for each pair of a source and a destination with a port in use or a pause,
// and one more for each range of Dialer.ExplicitPorts there. All are of one moment.
// Connections that were dialed without a source (by an empty Dialer.Sources) are
// not counted, but a pause is, with the zero Addr for Source, and for each Dialer
// with a Control function on its own. It may be called at any time by anybody.
func Budgets() iter.Seq[Budget] {
	return func(yield func(Budget) bool) {
		for _, b := range ports.budgets() {
			if !yield(b) {
				return
			}
		}
	}
}

// Budget returns the budget of the connection's source and destination. If
// Dialers with several ranges are in use, it is that of the range in which the
// connection's port is and of which most is used. It returns false where no
// budget is kept: for a connection that was not dialed from Sources. It may be
// called at any time, also after Close.
func (c *Conn) Budget() (Budget, bool) {
	if c.lease == nil || !c.lease.src.IsValid() {
		return Budget{}, false
	}
	return c.lease.budget(), true
}

// budget is the tightest of those that the port counts in.
func (l *lease) budget() Budget {
	ledger := l.ledger()
	now := ledger.lock()
	defer ledger.mu.Unlock()
	a := l.account
	tightest := a.budgetLocked(a.widestLocked(), now)
	for _, v := range a.views {
		if v.holds(l.port) {
			if b := a.budgetLocked(v, now); b.Used() > tightest.Used() {
				tightest = b
			}
		}
	}
	return tightest
}

func (l *ledger) budgets() []Budget {
	now := l.lock()
	defer l.mu.Unlock()
	var all []Budget
	for _, d := range l.dests {
		for _, a := range d.accounts {
			if v := a.widestLocked(); v != nil && (a.pending+a.open+a.waits > 0 || v.paused.holds(now)) {
				all = append(all, a.budgetLocked(v, now))
			}
		}
	}
	return all
}

func (a *account) widestLocked() *view {
	var widest *view
	for _, v := range a.views {
		if widest == nil || v.size > widest.size {
			widest = v
		}
	}
	return widest
}

func (a *account) budgetLocked(v *view, now time.Duration) Budget {
	b := Budget{
		Source:      a.key.src,
		Destination: a.dest.addr,
		Open:        a.pending + v.open,
		TimeWait:    v.waits,
		Size:        v.size,
	}
	if v.paused.holds(now) {
		b.ResumesAt = a.dest.ledger.born.Add(v.paused.until)
	}
	return b
}
