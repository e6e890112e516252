package dialer

import (
	"context"
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
// take the port over and is never set.
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
	// net.ipv4.tcp_migrate_req is 1.
	//
	// Where the system has no such option, on Windows among others, Listen fails
	// with an error that is errors.ErrUnsupported.
	ReusePort bool
}

// Listen opens a listener. The networks are tcp, tcp4 and tcp6; ctx bounds the
// resolution of the address and has no effect on the listener. The listener is a
// *net.TCPListener.
func (lc *ListenConfig) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	if !isTCP(network) {
		return nil, &net.OpError{Op: "listen", Net: network, Err: fmt.Errorf("dialer: ListenConfig listens on tcp, tcp4 and tcp6: %w", net.UnknownNetworkError(network))}
	}
	nlc := net.ListenConfig{Control: lc.control, KeepAliveConfig: lc.KeepAliveConfig}
	return nlc.Listen(ctx, network, address)
}

func (lc *ListenConfig) control(network, address string, c syscall.RawConn) error {
	if lc.Control != nil {
		if err := lc.Control(network, address, c); err != nil {
			return err
		}
	}
	if !lc.ReusePort {
		return nil
	}
	return reusePort(network, address, c)
}
