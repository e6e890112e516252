package dialer

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"time"
)

// dialEach dials where net has to do the binding (bindsInControl). It has to be
// told the source beforehand, so the host is resolved here, and its addresses
// are dialed one after the other, each from one source after the other.
func (dl *dialing) dialEach(ctx context.Context, address string) (*Conn, error) {
	dsts, err := dl.resolve(ctx, address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: dl.network, Err: err}
	}
	var firstErr error
	for i, dst := range dsts {
		a := new(attempt)
		dl.newAttempt(a, dst.String(), dst)
		c, err := dl.dialSources(ctx, a, len(dsts)-i)
		if err == nil {
			return c, nil
		}
		if firstErr == nil {
			firstErr = err
		}
	}
	for {
		a := dl.next(ctx, &firstErr)
		if a == nil {
			return nil, dl.failure(firstErr)
		}
		if c, err := dl.dialSources(ctx, a, 1); err == nil {
			return c, nil
		}
	}
}

// dialSources dials one address within its share of the time, which n addresses
// have to make do with.
func (dl *dialing) dialSources(ctx context.Context, a *attempt, n int) (*Conn, error) {
	ctx, cancel := share(ctx, n)
	defer cancel()
	for {
		if err := dl.choose(ctx, a); err != nil {
			a.err = err
			return nil, &net.OpError{Op: "dial", Net: dl.network, Addr: net.TCPAddrFromAddrPort(a.dst), Err: err}
		}
		c, err := dl.runFrom(ctx, a, a.lease.src)
		if err == nil {
			return c, nil
		}
		a.fail(err)
		if faultOf(err) == notSource {
			return nil, err
		}
	}
}

// runFrom lets net.Dialer bind and connect once.
func (dl *dialing) runFrom(ctx context.Context, a *attempt, src netip.Addr) (*Conn, error) {
	if src.IsLinkLocalUnicast() {
		src = src.WithZone(a.dst.Addr().Zone())
	}
	nd := dl.net
	nd.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(src, 0))
	nd.Control, nd.ControlContext = dl.dialer.Control, dl.dialer.ControlContext
	c, err := nd.DialContext(ctx, dl.network, a.address)
	if err != nil {
		return nil, err
	}
	l := a.lease
	a.lease = nil
	l.opened(uint16(c.LocalAddr().(*net.TCPAddr).Port))
	return newConn(c.(*net.TCPConn), nil, l), nil
}

// resolve returns the addresses to dial, in the resolver's order.
func (dl *dialing) resolve(ctx context.Context, address string) ([]netip.AddrPort, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := dl.net.Resolver.LookupPort(ctx, dl.network, service)
	if err != nil {
		return nil, err
	}
	if host == "" {
		return []netip.AddrPort{destination(dl.network, address)}, nil
	}
	addrs, err := dl.net.Resolver.LookupNetIP(ctx, strings.Replace(dl.network, "tcp", "ip", 1), host)
	if err != nil {
		return nil, err
	}
	dsts := make([]netip.AddrPort, len(addrs))
	for i, addr := range addrs {
		dsts[i] = netip.AddrPortFrom(addr.Unmap(), uint16(port))
	}
	return dsts, nil
}

// share is the context for the first of n addresses that are left: an equal part
// of the time there is, but not less than two seconds of it, since a connection
// to the other end of the world takes one with a single packet lost.
func share(ctx context.Context, n int) (context.Context, context.CancelFunc) {
	const least = 2 * time.Second
	deadline, ok := ctx.Deadline()
	if !ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, max(time.Until(deadline)/time.Duration(n), least))
}
