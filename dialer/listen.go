package dialer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// ListenConfig listens like [net.ListenConfig], for TCP. The zero value listens
// like a zero net.ListenConfig.
//
// A listener of it can be opened while connections of an earlier one on the same
// port are in TIME_WAIT: package net sets SO_REUSEADDR wherever that is what it
// means, which is everywhere but on Windows, where it would let another process
// take the port over and is never set. Multipath TCP, which package net turns on
// for listeners, is off: what is known about its sockets is not enough for Drain
// and for the records of [Conn].
//
// A ListenConfig is safe for concurrent use. Its fields are not to be changed
// after its first use.
type ListenConfig struct {
	// Control is called with every new socket before it is bound, and before
	// this package's options are set. See net.ListenConfig.
	Control func(network, address string, c syscall.RawConn) error

	// KeepAliveConfig sets the keep-alive probes of accepted connections. The
	// zero value leaves them to package net, which sends them every 15 s.
	KeepAliveConfig net.KeepAliveConfig

	// ReusePort lets several listeners share one port (SO_REUSEPORT, Linux 3.9):
	// each needs the option, and the first one's user must be the others'. Linux
	// spreads incoming connections over them; macOS and the BSDs mostly do not,
	// and FreeBSD does with SO_REUSEPORT_LB only. A connection that waits to be
	// accepted is lost when its listener is closed, unless
	// net.ipv4.tcp_migrate_req is 1; see [Listener.Drain].
	//
	// Where the system has no such option, on Windows among others, Listen fails
	// with an error that is errors.ErrUnsupported.
	ReusePort bool

	// MaxConns is how many accepted connections of a listener may be open at a
	// time. Zero and negative numbers mean no limit. See [Listener.Accept] for
	// what happens at the limit. Each listener of ListenN has it for itself.
	MaxConns int

	// Name is what a process that the listener is handed over to calls it, see
	// [HandOver] and [Listener.Name]. It must not contain a colon or control
	// characters.
	Name string
}

// Listen opens a listener, which is a *[Listener]. The networks are tcp, tcp4 and
// tcp6; ctx bounds the resolution of the address and has no effect on the
// listener.
func (lc *ListenConfig) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	l, err := lc.listen(ctx, network, address, lc.ReusePort)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// ListenN opens n listeners that share one port, as if ReusePort were set. With
// port 0 the first is given a port and the others join it. If one cannot be
// opened, those that were are closed again and the error is returned; n less
// than 1 is an error, too.
//
// Linux spreads connections evenly over them, by their addresses and ports, each
// with a queue of its own. A connection stays with the listener it was given to,
// even if that one is at its MaxConns or nobody calls its Accept.
func (lc *ListenConfig) ListenN(ctx context.Context, network, address string, n int) (_ []*Listener, err error) {
	if n < 1 {
		return nil, fmt.Errorf("dialer: ListenN: got n %d, want at least 1", n)
	}
	var all []*Listener
	defer func() {
		if err != nil {
			for _, l := range all {
				l.Close()
			}
		}
	}()
	for len(all) < n {
		l, err := lc.listen(ctx, network, address, true)
		if err != nil {
			return nil, err
		}
		all = append(all, l)
		address = l.Addr().String() // now with the port, and resolved
	}
	return all, nil
}

func (lc *ListenConfig) listen(ctx context.Context, network, address string, share bool) (*Listener, error) {
	if !isTCP(network) {
		return nil, &net.OpError{Op: "listen", Net: network, Err: fmt.Errorf("dialer: ListenConfig listens on tcp, tcp4 and tcp6: %w", net.UnknownNetworkError(network))}
	}
	if err := validateName(lc.Name); err != nil {
		return nil, fmt.Errorf("dialer: ListenConfig.Name: %w", err)
	}
	nlc := net.ListenConfig{KeepAliveConfig: lc.KeepAliveConfig}
	nlc.Control = func(network, address string, c syscall.RawConn) error { return lc.control(network, address, c, share) }
	nlc.SetMultipathTCP(false)
	l, err := nlc.Listen(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return newListener(l.(*net.TCPListener), lc, lc.Name), nil
}

func (lc *ListenConfig) control(network, address string, c syscall.RawConn, share bool) error {
	if lc.Control != nil {
		if err := lc.Control(network, address, c); err != nil {
			return err
		}
	}
	if !share {
		return nil
	}
	return reusePort(network, address, c)
}

// validateName holds a name to what LISTEN_FDNAMES can carry.
func validateName(name string) error {
	for _, r := range name {
		if r == ':' || r < ' ' || r == 0x7f {
			return fmt.Errorf("got %q, want no colon and no control character", name)
		}
	}
	if len(name) > 255 {
		return errors.New("want at most 255 bytes")
	}
	return nil
}
