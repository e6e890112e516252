package dialer

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
)

// attempt is what a dial does with one destination address: one source after
// the other. The dialing's mutex guards it, but for setup, which belongs to the
// control function that runs for it.
type attempt struct {
	ask
	address string // as net writes it: the name it goes by in ConnectDone and when dialed again

	running   bool // between control and ConnectDone
	connected bool
	lease     *lease          // of the source in use; nil without one
	raw       syscall.RawConn // of the last socket
	refusals  int             // of explicit ports
	outcome   outcome         // of the last choice
	self      netip.Addr      // source that may have connected to itself, to be tried again when no other is left
	noPorts   bool            // some source had no port
	err       error           // of the last socket or run that failed

	setup  setup
	flight flight
}

// maxRefusals bounds how many explicit ports a dial tries on one source.
const maxRefusals = 64

// repeat notes that net makes another socket for the address, and why.
func (a *attempt) repeat() {
	if a.lease == nil {
		return
	}
	// Either the source had no port left, or it is the destination's own
	// address and the socket got the destination's own port.
	src := a.lease.src
	own := src.IsValid() && (src == a.dst.Addr() || a.dst.Addr().IsUnspecified())
	switch explicit := a.lease.port; {
	case own && explicit != 0 && explicit == a.dst.Port():
		a.giveBack() // there are others
		return
	case own && explicit == 0:
		a.self, a.err = src, errNoPort
		a.giveBack()
		a.try(src)
		return
	}
	a.fail(errNoPort)
}

// fail notes the error and takes the source away.
func (a *attempt) fail(err error) {
	err = a.lease.verdict(err)
	f := faultOf(err)
	if f == noPort && len(a.from) == 0 && !hasSource(a.dst) {
		f = notSource // which no other source would mend: there is none
	}
	a.err = err
	a.noPorts = a.noPorts || f == noPort
	switch {
	case a.lease == nil && len(a.from) == 0 && f == noPort:
		ports.refuse(&a.ask, callError(err))
		a.outcome = outOfPorts
	case a.lease == nil:
	case f == notSource:
		a.giveBack()
	default:
		a.refused(f, err)
	}
}

// refused deals with a source that the kernel would not dial from.
func (a *attempt) refused(f fault, err error) {
	src := a.lease.src
	a.lease.refused(f, callError(err))
	a.lease = nil
	if f == notOurs {
		interfaceAddrs.forget(src)
		ports.suspect(a.from, src)
	}
	if !src.IsValid() {
		if f == noPort {
			a.outcome = outOfPorts
		}
		return
	}
	if f == noPort && a.explicit != (PortRange{}) {
		if a.refusals++; a.refusals < maxRefusals {
			return // it has other ports
		}
	}
	a.try(src)
}

// try notes that the source was tried.
func (a *attempt) try(src netip.Addr) {
	if !slices.Contains(a.tried, src) {
		a.tried = append(a.tried, src)
	}
}

// exhausted reports whether the attempt ended for want of a port.
func (a *attempt) exhausted() bool {
	return a.err != nil && (a.outcome == outOfPorts || a.noPorts)
}

// unfinished reports whether the attempt failed because of its source and there
// are others to try.
func (a *attempt) unfinished() bool {
	return a.outcome == chosen && (faultOf(a.err) != notSource || errors.Is(a.err, ErrNoSource)) && a.from.left(a.dst.Addr().Is6(), a.tried)
}

// sourceless reports whether the attempt failed for want of a source that could
// be used, other than for want of a port.
func (a *attempt) sourceless() bool {
	f := faultOf(a.err)
	return f == notOurs || f == noWay || errors.Is(a.err, ErrNoSource)
}

// again readies the attempt for a lease that it has waited for.
func (a *attempt) again(l *lease) {
	a.noPorts, a.self, a.refusals = false, netip.Addr{}, 0
	a.lease, a.outcome = l, chosen
}

// end is for an attempt that is over, whatever came of it.
func (a *attempt) end() {
	a.running, a.connected = false, false
	a.giveBack()
}

func (a *attempt) giveBack() {
	a.lease.release(false)
	a.lease = nil
}

// reason is the error of an attempt for which no source is left.
func (a *attempt) reason() error {
	if a.outcome == outOfPorts || a.noPorts {
		return ports.exhausted(&a.ask)
	}
	err := ErrNoSource
	if call := callError(a.err); call != nil {
		err = call
	}
	return &SourceError{Destination: a.dst, Sources: slices.Clone(a.tried), Err: err}
}

// callError is the system call's error in err, nil if there is none.
func callError(err error) error {
	if call := (*os.SyscallError)(nil); errors.As(err, &call) {
		return call
	}
	return nil
}

// destination parses the address that net gives to control functions. Without a
// host it stands for this one.
func destination(network, address string) netip.AddrPort {
	if dst, err := netip.ParseAddrPort(address); err == nil {
		return netip.AddrPortFrom(dst.Addr().Unmap(), dst.Port())
	}
	host := netip.IPv4Unspecified()
	if network == "tcp6" {
		host = netip.IPv6Unspecified()
	}
	_, port, _ := net.SplitHostPort(address)
	dst, _ := netip.ParseAddrPort("0.0.0.0:" + port)
	return netip.AddrPortFrom(host, dst.Port())
}
