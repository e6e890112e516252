package dialer

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// Dialer dials like [net.Dialer], from sources of your choice. The zero value
// dials like a zero net.Dialer.
//
// A Dialer is safe for concurrent use. Its fields are not to be changed after
// its first use; before that it may be copied.
type Dialer struct {
	// Timeout bounds a whole dial: name resolution, every address and every
	// source. Zero means no bound but the operating system's. Where Deadline or
	// the context end earlier, they count. As with net.Dialer, a negative
	// Timeout has already passed.
	Timeout time.Duration

	// Deadline is when a dial fails at the latest. Zero means never.
	Deadline time.Time

	// FallbackDelay is how long IPv6 is given before IPv4 is tried at its side
	// (Happy Eyeballs, RFC 6555). Zero means 300 ms; negative turns it off.
	FallbackDelay time.Duration

	// KeepAlive is the time between keep-alive probes on an idle connection.
	// Zero means 15 s; negative turns them off. KeepAliveConfig wins if it is
	// enabled.
	KeepAlive time.Duration

	// KeepAliveConfig sets keep-alive probes in detail. See net.Dialer.
	KeepAliveConfig net.KeepAliveConfig

	// Resolver resolves host names. Nil means net.DefaultResolver.
	Resolver *net.Resolver

	// Control is called with every new socket before anything is done to it:
	// this package's options are set, and the source is bound, after it
	// returned nil. If it returns an error, that attempt fails with it. Ignored
	// if ControlContext is set. See net.Dialer for its parameters.
	//
	// It may be called several times in one dial, once for each source and each
	// address that is tried.
	Control func(network, address string, c syscall.RawConn) error

	// ControlContext is Control with the context of the dial.
	ControlContext func(ctx context.Context, network, address string, c syscall.RawConn) error

	// Sources are the local addresses to dial from. A /32 or /128 is one
	// address. A shorter prefix is any address in it, chosen anew for each
	// dial; of IPv4 prefixes shorter than /31 the first (network) and last
	// (broadcast) address are left out. On Linux the addresses of a prefix need
	// not be configured one by one, but the network must route them to this
	// host and this host must take them for its own (ip route add local PREFIX
	// dev lo); otherwise dials from them fail or hang.
	//
	// A destination is dialed only from sources of its own family; if there is
	// none, that attempt fails with ErrNoSource. Among several, the address
	// with the fewest open connections of this process to that destination
	// (address and port) is taken, and equals take turns. All Dialers of the
	// process share these counts. If a source has no port left for the
	// destination, or cannot reach it, the dial goes on with the next; all of a
	// prefix of up to 256 addresses is tried, and 8 random ones of a larger.
	//
	// Empty, the kernel chooses for every dial. Networks other than TCP are
	// dialed without Sources.
	//
	// Where IP_BIND_ADDRESS_NO_PORT is missing (everywhere but on Linux 4.2 and
	// later), the kernel takes the port when the source is bound, so that a
	// source has one range of ports for all destinations together. On Windows
	// the addresses of a host are then tried one after the other instead of by
	// Happy Eyeballs.
	Sources []netip.Prefix

	// PortRange narrows the local ports that this Dialer's TCP connections use
	// to those that are also in net.ipv4.ip_local_port_range; one that has none
	// in common is ignored by the kernel. The zero value narrows nothing.
	// Ignored before Linux 6.3 and on other systems.
	PortRange PortRange
}

// Dial connects to the address on the named network. It is DialContext without
// a context.
func (d *Dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialContext connects to the address on the named network. For the networks
// tcp, tcp4 and tcp6 the connection is a *[Conn]; for every other network it is
// what net.Dialer returns. Network, address and context mean what they do to
// net.Dialer.DialContext, as do its httptrace hooks.
//
// If ctx ends before the connection stands, the dial fails at once; afterwards
// ctx has no effect on it. An invalid Dialer fails with what Validate returns.
// Where no source is left to try, the *net.OpError holds a *[SourceError].
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if err := d.Validate(); err != nil {
		return nil, err
	}
	ctx, cancel := d.limit(ctx)
	defer cancel()
	if !isTCP(network) {
		nd := d.netDialer()
		nd.Control, nd.ControlContext = d.Control, d.ControlContext
		return nd.DialContext(ctx, network, address)
	}
	c, err := newDialing(d, network).dial(ctx, address)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func isTCP(network string) bool {
	return network == "tcp" || network == "tcp4" || network == "tcp6"
}

// limit puts Timeout and Deadline into the context: they cover several dials of
// net.Dialer when a source fails.
func (d *Dialer) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline := d.Deadline
	if d.Timeout != 0 {
		if t := time.Now().Add(d.Timeout); deadline.IsZero() || t.Before(deadline) {
			deadline = t
		}
	}
	if deadline.IsZero() {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, deadline)
}

// netDialer is the net.Dialer that does the work, without its time limits and
// its control functions.
func (d *Dialer) netDialer() net.Dialer {
	return net.Dialer{
		FallbackDelay:   d.FallbackDelay,
		KeepAlive:       d.KeepAlive,
		KeepAliveConfig: d.KeepAliveConfig,
		Resolver:        d.Resolver,
	}
}

// hasControl reports whether the user's code sees sockets before ours does.
func (d *Dialer) hasControl() bool { return d.Control != nil || d.ControlContext != nil }

// control runs the user's own control function, if there is one.
func (d *Dialer) control(ctx context.Context, network, address string, c syscall.RawConn) error {
	switch {
	case d.ControlContext != nil:
		return d.ControlContext(ctx, network, address, c)
	case d.Control != nil:
		return d.Control(network, address, c)
	}
	return nil
}
