package dialer

import (
	"context"
	"net/netip"
	"syscall"
)

// setup is what is done to a new socket, in one visit: the options that every
// socket gets, the bind, and the beginning of the connect. It is kept with its
// attempt, because the function that RawConn.Control calls would be allocated for
// each.
type setup struct {
	run func(fd uintptr) // made once, by init

	// What is to be done.
	options     bool // else they are set already, and a source is tried anew
	arm         bool
	userControl bool
	keepAlive   keepAlive
	ports       PortRange
	src         netip.AddrPort // to bind to; invalid: not at all
	zone        string
	free        bool           // the source need not be configured on this host
	suspect     bool           // it may not be this host's at all
	pinned      bool           // it was given by WithSource, and is of a prefix in Sources
	dst         netip.AddrPort // to connect to
	kernels     PortRange      // that the kernel chooses the socket's port from
	late        bool           // the context has ended: net's own connect finds that out

	// What came of it.
	asked  bool // the kernel was asked to connect: the socket is good for no other source
	linger int  // SO_LINGER as the user's control function has set it, for the winner to get back; negative is off
	err    error
}

func (s *setup) init() { s.run = s.visit }

// begin is for each new socket.
func (s *setup) begin(dl *dialing) {
	d := dl.dialer
	*s = setup{run: s.run, options: true, arm: dl.arm, userControl: d.hasControl(), keepAlive: keepAliveOf(d), ports: d.PortRange, kernels: dl.space.all, linger: -1}
	if p := dl.pinned[0]; p.IsValid() {
		of := sources(d.Sources).holding(p.Addr())
		s.pinned = of.IsValid() && !of.IsSingleIP()
	}
}

// apply visits the socket.
func (s *setup) apply(ctx context.Context, network, address string, c syscall.RawConn, a *attempt) error {
	s.src, s.dst, s.late = netip.AddrPort{}, a.dst, ctx.Err() != nil
	if l := a.lease; l != nil && l.src.IsValid() {
		s.src = netip.AddrPortFrom(l.src, l.port)
		s.zone = a.dst.Addr().Zone()
		s.free, s.suspect = !a.from.single(l.src), l.suspect
		if l.port != 0 && s.options {
			if err := reusePort(network, address, c); err != nil {
				return err
			}
		}
	}
	s.err = nil
	err := c.Control(s.run)
	s.options = false
	if err == nil {
		return s.err // as it is: net knows an EADDRNOTAVAIL by its type
	}
	return err
}
