package dialer

import (
	"context"
	"errors"
	"net"
	"net/http/httptrace"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
)

// dialing is one dial: net.Dialer's run over the addresses of a host, in which
// control gives every socket its source, followed by more runs, each over one
// address alone, while there are addresses that failed for want of a source and
// have sources left.
//
// In a run net.Dialer may be at work on one IPv4 and one IPv6 address at a time,
// and the one that loses goes on for a while after the dial has returned.
type dialing struct {
	dialer  *Dialer
	network string
	net     net.Dialer

	// mu guards the rest and what the attempts hold. No system call is made
	// under it.
	mu       sync.Mutex
	attempts []*attempt // in the order in which net.Dialer took them up
	settled  bool       // the dial has returned a connection
}

func newDialing(d *Dialer, network string) *dialing {
	dl := &dialing{dialer: d, network: network, net: d.netDialer()}
	dl.net.ControlContext = dl.control
	return dl
}

func (dl *dialing) dial(ctx context.Context, address string) (*Conn, error) {
	if !bindsInControl && len(dl.dialer.Sources) > 0 {
		return dl.dialEach(ctx, address)
	}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{ConnectDone: dl.connectDone})
	c, err := dl.run(ctx, address)
	for err != nil {
		a := dl.unfinished()
		if a == nil {
			break
		}
		tried := len(a.tried)
		if c, err = dl.run(ctx, a.address); err != nil && len(a.tried) == tried {
			break // the context has ended, or the user's Control refuses
		}
	}
	if err != nil {
		return nil, dl.failure(err)
	}
	return dl.won(c)
}

// run lets net.Dialer connect once. After an error nothing of it is left
// running.
func (dl *dialing) run(ctx context.Context, address string) (*net.TCPConn, error) {
	c, err := dl.net.DialContext(ctx, dl.network, address)
	if err != nil {
		dl.mu.Lock()
		defer dl.mu.Unlock()
		for _, a := range dl.attempts {
			a.end()
		}
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// control prepares a new socket and binds it. net calls it once for each socket
// it makes, and it makes up to three in a row for the same address: another one
// when the one before found no port (EADDRNOTAVAIL) or connected to itself.
func (dl *dialing) control(ctx context.Context, network, address string, c syscall.RawConn) error {
	if err := dl.dialer.control(ctx, network, address, c); err != nil {
		return err
	}
	linger, err := prepare(c, dl.dialer.PortRange, dl.dialer.hasControl())
	if err != nil {
		return err
	}
	a := dl.begin(network, address, linger)
	if len(dl.dialer.Sources) == 0 {
		return nil
	}
	for {
		src, ok := dl.nextSource(a)
		if !ok {
			return dl.exhausted(a)
		}
		err := bind(c, src, a.dst.Addr().Zone(), !sources(dl.dialer.Sources).single(src))
		if err == nil {
			return nil
		}
		dl.refused(a, err)
		if faultOf(err) == notSource {
			return err
		}
	}
}

// begin finds or makes the attempt for the address. If it is running, net
// repeats it with a new socket, so its source is used up.
func (dl *dialing) begin(network, address string, linger int) *attempt {
	dl.mu.Lock()
	defer dl.mu.Unlock()
	a := dl.find(address)
	if a == nil {
		a = &attempt{address: address, dst: destination(network, address)}
		dl.attempts = append(dl.attempts, a)
	}
	a.linger = linger
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

// nextSource counts a connection on the next source for the attempt.
func (dl *dialing) nextSource(a *attempt) (netip.Addr, bool) {
	dl.mu.Lock()
	defer dl.mu.Unlock()
	a.lease = connections.choose(a.dst, dl.dialer.Sources, a.tried)
	if a.lease == nil && a.self.IsValid() {
		a.lease = connections.add(a.dst, a.self)
	}
	if a.lease == nil {
		return netip.Addr{}, false
	}
	return a.lease.src, true
}

// refused takes the attempt's source away from it.
func (dl *dialing) refused(a *attempt, err error) {
	dl.mu.Lock()
	defer dl.mu.Unlock()
	a.fail(err)
}

// exhausted is the error of an attempt for which no source is left.
func (dl *dialing) exhausted(a *attempt) error {
	dl.mu.Lock()
	defer dl.mu.Unlock()
	err := ErrNoSource
	if call := (*os.SyscallError)(nil); errors.As(a.err, &call) {
		err = call
	}
	return &SourceError{Destination: a.dst, Sources: slices.Clone(a.tried), Err: err}
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
	case err != nil:
		a.fail(err)
	case dl.settled:
		a.end() // it lost, and net closes it
	default:
		a.connected = true
	}
}

// unfinished is the first attempt that failed because of its source and has
// others left.
func (dl *dialing) unfinished() *attempt {
	dl.mu.Lock()
	defer dl.mu.Unlock()
	for _, a := range dl.attempts {
		if faultOf(a.err) != notSource && sources(dl.dialer.Sources).left(a.dst.Addr().Is6(), a.tried) {
			return a
		}
	}
	return nil
}

// won hands the connection out, with the linger time that the user gave it.
func (dl *dialing) won(tc *net.TCPConn) (*Conn, error) {
	l, linger := dl.settle(tc)
	c := newConn(tc, l)
	if err := disarm(c, linger); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// settle ends the attempts that lost, but for those that net has not closed yet:
// connectDone ends them. It returns what the winner held. Of each family at most
// one can be connected, or be running, at the end of a run.
func (dl *dialing) settle(tc *net.TCPConn) (l *lease, linger int) {
	dl.mu.Lock()
	defer dl.mu.Unlock()
	dl.settled = true
	linger = -1
	v4 := tc.RemoteAddr().(*net.TCPAddr).IP.To4() != nil
	for _, a := range dl.attempts {
		switch {
		case a.dst.Addr().Is4() == v4 && (a.connected || a.running):
			l, linger = a.lease, a.linger
		case !a.running:
			a.end()
		}
	}
	return l, linger
}

// failure is what the dial returns. net reports the address that failed first;
// that its family has no source must not hide what another address met.
func (dl *dialing) failure(err error) error {
	dl.mu.Lock()
	defer dl.mu.Unlock()
	if errors.Is(err, ErrNoSource) {
		for _, a := range dl.attempts {
			if a.err != nil && !errors.Is(a.err, ErrNoSource) {
				err = a.err
				break
			}
		}
	}
	return dl.explainLocked(err)
}

// explainLocked puts a SourceError into the error of a source.
func (dl *dialing) explainLocked(err error) error {
	var op *net.OpError
	var known *SourceError
	if !errors.As(err, &op) || errors.As(err, &known) {
		return err
	}
	f := faultOf(err)
	if f == notSource || f == wrongSource && len(dl.dialer.Sources) == 0 {
		return err
	}
	explained := *op
	e := &SourceError{Err: op.Err}
	if op.Addr != nil {
		if a := dl.find(op.Addr.String()); a != nil {
			e.Destination, e.Sources = a.dst, slices.Clone(a.tried)
		}
	}
	explained.Err = e
	return &explained
}

// errNoPort is what net has met when it repeats an attempt.
var errNoPort = os.NewSyscallError("connect", syscall.EADDRNOTAVAIL)
