package dialer

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
	"unsafe"
)

// Dialer dials like [net.Dialer], from sources of your choice. The zero value
// dials like a zero net.Dialer, without Multipath TCP.
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

	// LocalAddr is net.Dialer's, for networks other than TCP. With TCP it is
	// refused: it takes its port from every other connection of the host, and 64k
	// of them are all there are. Use Sources.
	LocalAddr net.Addr

	// Sources are the local addresses to dial from. A /32 or /128 is one
	// address. A shorter prefix is any address in it, chosen anew for each
	// dial; of IPv4 prefixes shorter than /31 the first (network) and last
	// (broadcast) address are left out. On Linux the addresses of a prefix need
	// not be configured one by one, but the network must route them to this
	// host and this host must take them for its own (ip route add local PREFIX
	// dev lo). If this host does not, dials from them fail with a *SourceError
	// that says so: at once from IPv4, within a second from IPv6 (with Linux 5.14
	// and later; before, they wait in vain). If the network does not, they wait in
	// vain. No two may overlap.
	//
	// A destination is dialed only from sources of its own family; if there is
	// none, that attempt fails with ErrNoSource. Among several, Chooser chooses.
	// If a source has no port left for the destination, cannot reach it, or is
	// no address of this host any more, the dial goes on with the next; all of a
	// prefix of up to 256 addresses is tried, and 8 random ones of a larger. Such
	// a source is then left out, for up to a second at a time if it is not this
	// host's and up to 30 seconds if it cannot reach the destination, unless
	// there is no other. After a dial that waited from an address of a prefix that
	// is not this host's, the others of the prefix are looked up before they are
	// dialed from, for 30 seconds. They are looked up by every table of routes that
	// a rule (ip rule) leads any packets to. A route that is added to one of those
	// for incoming packets alone may be overlooked for a second.
	//
	// A dial that waits for an answer when its source is taken from the host
	// goes on with the next within a second (on Linux; for IPv6 and for prefixes,
	// 5.14 and later). With no other to go on with it waits, as the source may
	// come back, but fails if all of a prefix is gone. Nothing is found out about
	// prefixes where the process may not use netlink, about single addresses where
	// net.ipv4.ip_nonlocal_bind or net.ipv6.ip_nonlocal_bind is 1 or Control sets
	// IP_FREEBIND, and about neither where it sets IP_TRANSPARENT.
	//
	// Without Sources and Interfaces, the kernel chooses for every dial.
	// Networks other than TCP are dialed without them.
	//
	// Where IP_BIND_ADDRESS_NO_PORT is missing (everywhere but on Linux 4.2 and
	// later), the kernel takes the port when the source is bound, so that a
	// source has one range of ports for all destinations together. On Windows
	// the addresses of a host are then tried one after the other instead of by
	// Happy Eyeballs.
	Sources []netip.Prefix

	// Interfaces are names of network interfaces whose addresses are sources,
	// too: all that are global unicast, private ones included (on the loopback
	// interface, loopback). Addresses that come or go are noticed within a
	// second, and by a dial that would fail otherwise within 20 ms. An interface
	// that does not exist has none.
	Interfaces []string

	// Chooser picks the source of each dial. Nil means MostRoom: the one with
	// the most ports left for the destination (address and port), equals taking
	// turns. A source with less than 5 % of its ports left is chosen only if no
	// other has more. See also [WithSource].
	//
	// What is in use is counted over all Dialers of the process; see [Budgets].
	Chooser Chooser

	// WaitForPort says what a dial does when no source has a local port left for
	// the destination. False: it fails at once with an *ExhaustedError, mostly
	// without asking the kernel, which is asked again after a pause of 25 ms that
	// grows to a second, or when a port of this process comes free. True: it
	// waits for a port, first come, first served, until Timeout, Deadline or the
	// context ends it.
	WaitForPort bool

	// PortRange narrows the local ports that this Dialer's TCP connections use
	// to those that are also in net.ipv4.ip_local_port_range. One that has none in
	// common with it is an error, also if that comes of a change of the sysctl
	// while the program runs: the kernel would ignore it, and dial from any port.
	// The zero value narrows nothing. Ignored before Linux 6.3 and on other
	// systems.
	PortRange PortRange

	// ExplicitPorts has each connection bound to a port that this package picks,
	// from a range of its own, instead of leaving the choice to the kernel: for
	// each source and destination the ports never used come first, then the one
	// whose use ended longest ago. Such a connection may take over the port of
	// its own predecessor's TIME_WAIT at once, whatever net.ipv4.tcp_tw_reuse
	// says, so that a source does not run out of ports by closing. The zero
	// value is off. Linux only; elsewhere a dial fails with errors.ErrUnsupported.
	//
	// Both ends need TCP timestamps (net.ipv4.tcp_timestamps, on by default).
	// Without them a TIME_WAIT on this side cannot be taken over, and one on
	// the peer's side may leave a new connection unanswered for a second or
	// more. That also happens behind a NAT that gives the same port to
	// different hosts.
	//
	// The range must lie outside net.ipv4.ip_local_port_range: a port bound
	// explicitly is lost to connections that let the kernel choose. Without
	// CAP_NET_BIND_SERVICE it must not begin below
	// net.ipv4.ip_unprivileged_port_start (1024 by default). It needs
	// Sources or Interfaces, and excludes PortRange. The sockets carry
	// SO_REUSEADDR and SO_REUSEPORT. A port that another process uses is passed
	// over for a minute.
	ExplicitPorts PortRange

	checked uintptr // where the Sources are that validateSources found good; atomic
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
// The error is a *net.OpError as net.Dialer's is. It holds an *[ExhaustedError]
// where no local port was left, also if another address of the host failed for
// another reason; a *[SourceError] where no source could be used; and a
// *[FilesError] where there was no descriptor for the socket.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if err := d.Validate(); err != nil {
		return nil, err
	}
	ctx, cancel := d.limit(ctx)
	defer cancel()
	if !isTCP(network) {
		nd := d.netDialer()
		nd.LocalAddr, nd.Control, nd.ControlContext = d.LocalAddr, d.Control, d.ControlContext
		return nd.DialContext(ctx, network, address)
	}
	c, err := d.dialTCP(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (d *Dialer) dialTCP(ctx context.Context, network, address string) (*Conn, error) {
	if d.LocalAddr != nil {
		return nil, errLocalAddr
	}
	dl := d.newDialing(ctx, network)
	defer dl.leave()
	if p := dl.pinned[0]; p.IsValid() {
		if err := validateSource(p); err != nil {
			return nil, fmt.Errorf("dialer: WithSource: %w", err)
		}
	}
	if dst, ok := dl.parse(address); ok {
		dl.literal = true
		dl.newAttempt(&dl.one, address, dst)
	}
	c, err := dl.dial(ctx, address)
	dl.over = true
	return c, err
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
// its control functions. Multipath TCP, which GODEBUG can turn on, is off: its
// sockets do not tell who closed first.
func (d *Dialer) netDialer() net.Dialer {
	nd := net.Dialer{
		FallbackDelay:   d.FallbackDelay,
		KeepAlive:       d.KeepAlive,
		KeepAliveConfig: d.KeepAliveConfig,
		Resolver:        d.Resolver,
	}
	nd.SetMultipathTCP(false)
	return nd
}

// hasControl reports whether the user's code sees sockets before ours does.
func (d *Dialer) hasControl() bool { return d.Control != nil || d.ControlContext != nil }

// ownControl is the Dialer's address if the user's code sees its sockets, and
// zero otherwise.
func (d *Dialer) ownControl() uintptr {
	if !d.hasControl() {
		return 0
	}
	return uintptr(unsafe.Pointer(d))
}

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
