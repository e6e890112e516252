package dialer

import (
	"net"
	"net/netip"
	"slices"
)

// attempt is what a dial does with one destination address: one source after
// the other. The dialing's mutex guards it.
type attempt struct {
	address string // as net writes it: the name it goes by in ConnectDone and when dialed again
	dst     netip.AddrPort
	linger  int // what the user's Control set SO_LINGER to, for the winner to get back; negative is off

	running   bool // between control and ConnectDone
	connected bool
	lease     *lease       // of the source in use; nil without Sources
	tried     []netip.Addr // sources that failed
	self      netip.Addr   // source that may have connected to itself, to be tried again when no other is left
	err       error        // of the last socket or run that failed
}

// repeat notes that net makes another socket for the address, and why.
func (a *attempt) repeat() {
	if a.lease == nil {
		return
	}
	// Either the source had no port left, or it is the destination's own
	// address and the kernel gave it the destination's own port.
	if src := a.lease.src; src == a.dst.Addr() || a.dst.Addr().IsUnspecified() {
		a.self = src
	}
	a.fail(errNoPort)
}

// fail notes the error and takes the source away.
func (a *attempt) fail(err error) {
	a.err = err
	if a.lease != nil && faultOf(err) != notSource && !slices.Contains(a.tried, a.lease.src) {
		a.tried = append(a.tried, a.lease.src)
	}
	a.giveBack()
}

// end is for an attempt that is over, whatever came of it.
func (a *attempt) end() {
	a.running, a.connected = false, false
	a.giveBack()
}

func (a *attempt) giveBack() {
	a.lease.release()
	a.lease = nil
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
