package dialer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"net/netip"
	"sync"
	"syscall"
)

// dialing is one dial: net.Dialer's run over the addresses of a host, in which
// control gives every socket its source, followed by more runs, each over one
// address alone, while there are addresses that failed for want of a source and
// have sources left, or may wait for a port.
//
// In a run net.Dialer may be at work on one IPv4 and one IPv6 address at a time,
// and the one that loses goes on for a while after the dial has returned. With a
// literal address there is one attempt, and nothing goes on.
type dialing struct {
	dialer  *Dialer
	network string
	net     net.Dialer
	literal bool
	arm     bool    // sockets may be closed inside net: they must leave no TIME_WAIT
	from    sources // to dial from
	srcErr  error   // of Interfaces
	space   *portSpace
	key     string // the sticky key
	pinned  [1]netip.Prefix
	ticket  uint64 // how long it has waited for a port, compared with others
	renewed bool   // the addresses of Interfaces were read again
	over    bool   // the dial has returned, not panicked

	// mu guards the rest and what the attempts hold. No system call is made
	// under it.
	mu       sync.Mutex
	attempts []*attempt // in the order in which net.Dialer took them up
	settled  bool       // the dial has a connection, or has panicked
	one      attempt    // the first, with a literal address

	parsed parsed // the literal address that was dialed last; it is often the same
}

// dialings holds those of literal addresses, with which nothing is left running,
// for the next dial.
var dialings = sync.Pool{New: func() any {
	dl := new(dialing)
	dl.net.ControlContext = dl.control
	dl.one.setup.init()
	return dl
}}

func (d *Dialer) newDialing(ctx context.Context, network string) *dialing {
	dl := dialings.Get().(*dialing)
	control := dl.net.ControlContext
	dl.dialer, dl.network, dl.net = d, network, d.netDialer()
	if setsKeepAlive {
		dl.net.KeepAlive, dl.net.KeepAliveConfig = -1, net.KeepAliveConfig{}
	}
	dl.net.ControlContext = control
	dl.space = ephemeralPorts()
	dl.sources(ctx)
	return dl
}

// leave is for the end of a dial, which may be a panic of the user's: of Control,
// of Chooser, or of a trace hook. Whatever the attempts still hold is given back
// then. In one that runs on, connectDone does that.
func (dl *dialing) leave() {
	if dl.literal {
		dl.one.giveBack()
		dl.recycle()
		return
	}
	if dl.over {
		return
	}
	dl.mu.Lock()
	defer dl.mu.Unlock()
	dl.settled = true
	for _, a := range dl.attempts {
		a.giveBack()
	}
}

// recycle is for a dialing of which nothing is left.
func (dl *dialing) recycle() {
	run, control, tried, attempts := dl.one.setup.run, dl.net.ControlContext, dl.one.tried[:0], dl.attempts[:0]
	*dl = dialing{attempts: attempts, parsed: dl.parsed}
	dl.net.ControlContext = control
	dl.one.setup.run, dl.one.tried = run, tried
	dialings.Put(dl)
}

// sources finds out where the dial may come from.
func (dl *dialing) sources(ctx context.Context) {
	d := dl.dialer
	if pinned := PinnedSource(ctx); pinned.IsValid() {
		dl.pinned[0] = netip.PrefixFrom(pinned, pinned.BitLen())
		dl.from = dl.pinned[:]
		return
	}
	dl.from = d.Sources
	if len(d.Interfaces) > 0 {
		var more sources
		more, dl.srcErr = interfaceAddrs.sources(d.Interfaces, false)
		dl.from = append(dl.from[:len(dl.from):len(dl.from)], more...)
	}
	if _, sticky := plain(d.Chooser).(Sticky); sticky {
		dl.key = StickyKey(ctx)
	}
}

// bound reports whether the Dialer, not the kernel, chooses the source.
func (dl *dialing) bound() bool {
	return len(dl.from) > 0 || len(dl.dialer.Interfaces) > 0
}

func (dl *dialing) newAttempt(a *attempt, address string, dst netip.AddrPort) {
	d := dl.dialer
	a.address = address
	a.ask = ask{
		dst:      dst,
		from:     dl.from,
		chooser:  plain(d.Chooser),
		ports:    d.PortRange,
		explicit: d.ExplicitPorts,
		control:  d.ownControl(),
		size:     dl.space.sizeOf(d.PortRange, d.ExplicitPorts),
		key:      dl.key,
		tried:    a.tried,
		flight:   watched(&a.flight),
	}
	dl.attempts = append(dl.attempts, a)
}

// dial connects. The context has its time limit.
func (dl *dialing) dial(ctx context.Context, address string) (*Conn, error) {
	if !bindsInControl && dl.bound() {
		return dl.dialEach(ctx, address)
	}
	// A single attempt that nothing can end is not closed inside net once it
	// stands. For one connected to itself setup cares, but not if it has a zone.
	dl.arm = !dl.literal || ctx.Done() != nil || dl.one.dst.Addr().Zone() != ""
	if !dl.literal {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{ConnectDone: dl.connectDone})
	}
	tc, err := dl.first(ctx, address)
	for {
		if err == nil {
			var c *Conn
			if c, err = dl.won(tc); !errors.Is(err, errGone) {
				return c, err
			}
		}
		next := dl.next(ctx, &err)
		if next == nil {
			return nil, dl.failure(err)
		}
		tried := len(next.tried)
		tc, err = dl.run(ctx, next.address)
		if err != nil && len(next.tried) == tried && next.outcome == chosen && next.lease == nil && next.refusals == 0 {
			return nil, dl.failure(err) // the context has ended, or the user's Control refuses
		}
	}
}

// first lets net connect, unless it is known beforehand that there is no port.
func (dl *dialing) first(ctx context.Context, address string) (*net.TCPConn, error) {
	if dl.literal {
		if err := dl.choose(ctx, &dl.one); err != nil {
			dl.one.err = err
			return nil, &net.OpError{Op: "dial", Net: dl.network, Addr: net.TCPAddrFromAddrPort(dl.one.dst), Err: err}
		}
	}
	return dl.run(ctx, address)
}

// next returns the attempt to go on with after an error: one that has sources
// left, or is given some by another look at the interfaces, or one that has waited
// for a port and got it. It changes the error if the wait was in vain.
func (dl *dialing) next(ctx context.Context, err *error) *attempt {
	var out []*attempt
	dl.mu.Lock()
	for _, a := range dl.attempts {
		if a.unfinished() {
			dl.mu.Unlock()
			return a
		}
		if a.exhausted() {
			out = append(out, a)
		}
	}
	dl.mu.Unlock()
	if a := dl.renew(); a != nil {
		return a
	}
	if len(out) == 0 || !dl.dialer.WaitForPort {
		return nil
	}
	asks := make([]*ask, len(out))
	for i, a := range out {
		a.tried = a.tried[:0]
		asks[i] = &a.ask
	}
	g, cause := ports.await(ctx, asks, &dl.ticket)
	if cause != nil {
		*err = &net.OpError{Op: "dial", Net: dl.network, Addr: net.TCPAddrFromAddrPort(out[0].dst), Err: cause}
		return nil
	}
	out[g.ask].again(g.lease)
	return out[g.ask]
}

// run lets net.Dialer connect once. After an error nothing of it is left
// running.
func (dl *dialing) run(ctx context.Context, address string) (*net.TCPConn, error) {
	c, err := dl.net.DialContext(ctx, dl.network, address)
	if err != nil {
		dl.mu.Lock()
		defer dl.mu.Unlock()
		for _, a := range dl.attempts {
			switch {
			case dl.literal && a.outcome == chosen:
				a.fail(err)
			case dl.literal && a.err == nil:
				a.err = err // of control, which found that there is no port any more
			}
			a.end()
		}
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// control prepares a new socket, binds it and begins to connect it. net calls it
// once for each socket it makes, and it makes up to three in a row for the same
// address: another one when the one before found no port (EADDRNOTAVAIL) or
// connected to itself.
func (dl *dialing) control(ctx context.Context, network, address string, c syscall.RawConn) error {
	if err := dl.dialer.control(ctx, network, address, c); err != nil {
		return err
	}
	a := dl.begin(network, address)
	a.raw = c
	a.setup.begin(dl)
	for {
		if err := dl.choose(ctx, a); err != nil {
			return err
		}
		err := a.setup.apply(ctx, network, address, c, a)
		if err == nil {
			if a.lease != nil {
				a.flight.sent(c)
			}
			return nil
		}
		if a.setup.asked {
			return err // net takes it as it takes that of its own connect
		}
		f := faultOf(err)
		dl.mu.Lock()
		a.fail(err)
		dl.mu.Unlock()
		if f == notSource || !a.src() {
			return err
		}
	}
}

// src reports whether the attempt is made from a source of ours.
func (a *attempt) src() bool { return len(a.from) > 0 }

// begin finds or makes the attempt for the address. If it is running, net
// repeats it with a new socket, so its source is used up.
func (dl *dialing) begin(network, address string) *attempt {
	dl.mu.Lock()
	defer dl.mu.Unlock()
	var a *attempt
	if dl.literal {
		a = &dl.one
	} else if a = dl.find(address); a == nil {
		a = new(attempt)
		a.setup.init()
		dl.newAttempt(a, address, destination(network, address))
	}
	if a.running {
		a.repeat()
	}
	a.running, a.connected = true, false
	return a
}

func (dl *dialing) find(address string) *attempt {
	for _, a := range dl.attempts {
		if a.address == address {
			return a
		}
	}
	return nil
}

// choose gives the attempt a source, unless it has one.
func (dl *dialing) choose(ctx context.Context, a *attempt) error {
	if a.lease != nil {
		return nil
	}
	if len(a.from) == 0 && dl.bound() {
		if isFileLimit(dl.srcErr) {
			return dl.srcErr
		}
		err := ErrNoSource
		if dl.srcErr != nil {
			err = fmt.Errorf("%w: %w", err, dl.srcErr)
		}
		return &SourceError{Destination: a.dst, Err: err}
	}
	l, o, err := ports.choose(ctx, &a.ask)
	if err != nil {
		return err
	}
	dl.mu.Lock()
	defer dl.mu.Unlock()
	if o == noneLeft && a.self.IsValid() {
		l, o = ports.add(&a.ask, a.self), chosen
	}
	a.lease, a.outcome = l, o
	if o != chosen {
		return a.reason()
	}
	return nil
}

// connectDone is the trace hook that ends an attempt. net calls it after the
// last socket for an address, and it names nothing but that address. It may name
// one that control never saw: of a dial by the user's Resolver under the same
// context.
func (dl *dialing) connectDone(_, address string, err error) {
	dl.mu.Lock()
	defer dl.mu.Unlock()
	a := dl.find(address)
	if a == nil {
		return
	}
	a.running = false
	switch {
	case err != nil && a.outcome == chosen:
		a.fail(err)
	case err != nil:
		a.err = err
	case dl.settled:
		a.end() // it lost, and net closes it
	default:
		a.connected = true
	}
}
