package dialer

import (
	"context"
	"errors"
	"fmt"
	"net"
)

// errNotReused is in the error of a dial from a listener without ReusePort.
var errNotReused = errors.New("dialer: dialing from a listening port needs ListenConfig.ReusePort")

// DialContext connects to the address from the address and port that the
// listener is bound to, and returns a *[Conn]. The networks are tcp, tcp4 and
// tcp6. The listener must have been opened with ReusePort, and must not be
// closed yet; afterwards the connection has nothing to do with it, and does not
// count in its Stats or for MaxConns.
//
// A listener on an unspecified address (0.0.0.0 or ::, or no host at all) leaves
// the source to the kernel, which takes the one that its route to the
// destination names, with the listener's port. A listener on IPv4 reaches IPv4
// destinations only, one on an IPv6 address IPv6 ones; the error for others is a
// *net.AddrError.
//
// From one port there is one connection to a destination at a time, and none
// while the last one is in TIME_WAIT: the dial fails with an errno of
// EADDRINUSE or EADDRNOTAVAIL. [Conn.Reset] leaves no TIME_WAIT.
//
// If ctx ends before the connection stands, the dial fails at once; afterwards
// ctx has no effect on it.
func (l *Listener) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if err := l.canDial(network); err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Source: l.Addr(), Err: err}
	}
	d := net.Dialer{LocalAddr: l.localAddr(), KeepAliveConfig: l.keepAlive, Control: reusePort}
	c, err := d.DialContext(ctx, network, address)
	if ae := (*net.AddrError)(nil); errors.As(err, &ae) && ae.Addr == d.LocalAddr.String() {
		return nil, &net.OpError{Op: "dial", Net: network, Source: l.Addr(), Err: l.noWayTo(address)}
	}
	if err != nil {
		return nil, err
	}
	return Wrap(c.(*net.TCPConn)), nil
}

// noWayTo is the error for a destination of the other family. Package net names
// the listener's address in its place.
func (l *Listener) noWayTo(address string) error {
	own := family(l.tcp.Addr().(*net.TCPAddr).AddrPort().Addr().Unmap())
	return fmt.Errorf("dialer: %w", &net.AddrError{Addr: address, Err: fmt.Sprintf("no %s address, and a listener on %s reaches no other", own, own)})
}

func (l *Listener) canDial(network string) error {
	if !isTCP(network) {
		return fmt.Errorf("dialer: a Listener dials on tcp, tcp4 and tcp6: %w", net.UnknownNetworkError(network))
	}
	shares, err := reusesPort(l.raw)
	if err != nil {
		return err
	}
	if !shares {
		return errNotReused
	}
	return nil
}

// localAddr is what a dial binds. Without an IP package net binds the
// unspecified address of the destination's family.
func (l *Listener) localAddr() *net.TCPAddr {
	local := *l.tcp.Addr().(*net.TCPAddr)
	if local.IP.IsUnspecified() && local.IP.To4() == nil {
		local.IP = nil
	}
	return &local
}
