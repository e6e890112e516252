package hostcheck

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"
)

// Group is what sockets that are counted together have in common.
type Group struct {
	// State is the state they are in.
	State State

	// Accepted says that they came in: their local end is one that something
	// listens on. When nothing listens there any more, they look like
	// connections that were dialed.
	Accepted bool

	// Local is, for a connection that was dialed, the source: an address with
	// port 0. Otherwise it is the address and port of the listener's side.
	Local netip.AddrPort

	// Remote is the destination of a connection that was dialed, and the zero
	// AddrPort for one that was accepted and for listeners.
	Remote netip.AddrPort
}

// Census is a count of the TCP sockets in a network namespace. It is a picture
// of something that moves: what changes while it is taken may be missing or be
// counted twice.
type Census struct {
	// Taken is when it was complete.
	Taken time.Time

	// From is where the sockets were read: "sock_diag" or "/proc/net/tcp".
	From string

	// Fallback is why that is /proc/net/tcp. Nil otherwise.
	Fallback error

	// Counts says how many sockets of each group there are, those that the
	// filter asked for.
	Counts map[Group]int

	// Listeners are all sockets that listen, whatever the filter, ordered by
	// port.
	Listeners []Socket

	// Stat is the kernel's own summary, whatever the filter.
	Stat Stat
}

// errInterrupted says that the kernel's tables changed in a way that makes an
// answer incomplete.
var errInterrupted = errors.New("hostcheck: the kernel was interrupted while it listed sockets")

// attempts is how often a census is begun anew that the kernel has interrupted.
const attempts = 3

// Take counts the sockets that the filter asks for. If ctx ends before it is
// done, it returns ctx's error. On systems other than Linux its error wraps
// errors.ErrUnsupported. It may be used concurrently.
func Take(ctx context.Context, f Filter) (*Census, error) {
	f, err := f.validate()
	if err != nil {
		return nil, err
	}
	for n := 1; ; n++ {
		c, err := take(ctx, f)
		if !errors.Is(err, errInterrupted) || n == attempts {
			return c, err
		}
	}
}

func take(ctx context.Context, f Filter) (*Census, error) {
	c := &Census{Counts: make(map[Group]int)}
	// The listeners come first: they tell what was accepted from what was dialed.
	var ends listening
	_, err := each(ctx, Filter{States: []State{Listen}}, func(s *Socket) bool {
		c.Listeners = append(c.Listeners, *s)
		ends.add(s.Local)
		return true
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(c.Listeners, func(a, b Socket) int {
		return cmp.Or(cmp.Compare(a.Local.Port(), b.Local.Port()), a.Local.Compare(b.Local))
	})
	from, err := each(ctx, f, func(s *Socket) bool {
		c.Counts[ends.group(s)]++
		return true
	})
	if err != nil {
		return nil, err
	}
	c.From, c.Fallback, c.Taken = from.name, from.fallback, time.Now()
	c.Stat, err = readStat()
	return c, err
}

// origin is where sockets were read, and why not from sock_diag.
type origin struct {
	name     string
	fallback error
}

// listening is the set of local ends that something listens on.
type listening struct {
	every [1 << 16]bool // ports on all addresses
	some  [1 << 16]bool // ports on those in one
	one   map[netip.AddrPort]bool
}

func (l *listening) add(end netip.AddrPort) {
	if end.Addr().IsUnspecified() {
		l.every[end.Port()] = true
		return
	}
	if l.one == nil {
		l.one = make(map[netip.AddrPort]bool)
	}
	l.some[end.Port()], l.one[end] = true, true
}

func (l *listening) has(end netip.AddrPort) bool {
	return l.every[end.Port()] || l.some[end.Port()] && l.one[end]
}

func (l *listening) group(s *Socket) Group {
	switch {
	case s.State == Listen:
		return Group{State: Listen, Local: s.Local}
	case l.has(s.Local):
		return Group{State: s.State, Accepted: true, Local: s.Local}
	}
	return Group{State: s.State, Local: netip.AddrPortFrom(s.Local.Addr(), 0), Remote: s.Remote}
}

// Total is how many sockets in any of the states were counted; without states,
// all.
func (c *Census) Total(states ...State) int {
	n := 0
	for g, count := range c.Counts {
		if len(states) == 0 || slices.Contains(states, g.State) {
			n += count
		}
	}
	return n
}

// Destination is what a census has of one place that was dialed, or of one local
// end that accepted.
type Destination struct {
	// Addr is the remote address and port that was dialed, or the local one
	// that accepted.
	Addr netip.AddrPort

	// Accepted says which of the two it is.
	Accepted bool

	// Total is the number of sockets.
	Total int

	// States is how many of them are in each state.
	States map[State]int

	// Sources says of a place that was dialed how many local ports each source
	// address has in use towards it. Nil for what was accepted.
	Sources map[netip.Addr]Ports
}

// add counts sockets of a group that belongs here.
func (d *Destination) add(g Group, n int) {
	if d.States == nil {
		d.States = make(map[State]int)
	}
	d.Total += n
	d.States[g.State] += n
	if g.Accepted {
		return
	}
	if d.Sources == nil {
		d.Sources = make(map[netip.Addr]Ports)
	}
	d.Sources[g.Local.Addr()] = d.Sources[g.Local.Addr()].plus(g.State, n)
}

// To is what there is of one place that was dialed; Total is 0 if nothing is.
func (c *Census) To(dst netip.AddrPort) Destination {
	d := Destination{Addr: dst}
	for g, n := range c.Counts {
		if g.Remote == dst && !g.Accepted && g.State != Listen {
			d.add(g, n)
		}
	}
	return d
}

// Destinations lists where connections lead to or came in, those with the most
// sockets first. Listeners are not among them.
func (c *Census) Destinations() []Destination {
	type key struct {
		addr     netip.AddrPort
		accepted bool
	}
	all := make(map[key]*Destination)
	for g, n := range c.Counts {
		if g.State == Listen {
			continue
		}
		k := key{g.Remote, g.Accepted}
		if g.Accepted {
			k.addr = g.Local
		}
		d := all[k]
		if d == nil {
			d = &Destination{Addr: k.addr, Accepted: k.accepted}
			all[k] = d
		}
		d.add(g, n)
	}
	list := make([]Destination, 0, len(all))
	for _, d := range all {
		list = append(list, *d)
	}
	slices.SortFunc(list, func(a, b Destination) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), a.Addr.Compare(b.Addr))
	})
	return list
}

// Ports are local ports in use from one source to one destination.
type Ports struct {
	// InUse is all of them.
	InUse int

	// TimeWaits is those whose connection is over.
	TimeWaits int
}

func (p Ports) plus(s State, n int) Ports {
	p.InUse += n
	if s == TimeWait {
		p.TimeWaits += n
	}
	return p
}
