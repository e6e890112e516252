package hostcheck

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"time"
)

// Socket is a TCP socket of the network namespace that the process is in.
type Socket struct {
	// State is the state it was in when the kernel was asked.
	State State

	// Local and Remote are its two ends. Remote is the zero address and port 0
	// if it listens. An IPv4 address is one, also on an IPv6 socket. Zones are
	// left out.
	Local, Remote netip.AddrPort

	// Expires is when the kernel drops it by itself, counted from now, if it is
	// in TIME_WAIT, or in FIN_WAIT_2 and no program has it any more. Otherwise
	// zero.
	Expires time.Duration

	// Queue is, if it listens, how many connections wait to be accepted, and
	// Backlog how many may. Backlog is 0 where it was read from /proc/net/tcp,
	// which does not tell.
	Queue, Backlog int
}

// Filter says which sockets are asked for. The zero value asks for all.
type Filter struct {
	// States are the states to look for. Empty means all.
	States []State

	// Destination holds the remote addresses to look for: a /32 or /128 for
	// one. The zero value means all. IPv4 sockets and IPv4 connections of IPv6
	// sockets are both found by an IPv4 prefix.
	Destination netip.Prefix

	// Port is the remote port to look for. Zero means all.
	Port uint16
}

// validate also brings the destination into the form that sockets are in.
func (f Filter) validate() (Filter, error) {
	for _, s := range f.States {
		if s < Established || s > Closing {
			return f, fmt.Errorf("hostcheck: Filter.States has %v, which is none of TCP's", s)
		}
	}
	if f.Destination == (netip.Prefix{}) {
		return f, nil
	}
	if !f.Destination.IsValid() {
		return f, fmt.Errorf("hostcheck: Filter.Destination is %v, want a prefix", f.Destination)
	}
	a, bits := f.Destination.Addr(), f.Destination.Bits()
	if a.Is4In6() {
		if bits < 96 {
			return f, fmt.Errorf("hostcheck: Filter.Destination is %v, want IPv4 addresses written as such", f.Destination)
		}
		a, bits = a.Unmap(), bits-96
	}
	f.Destination = netip.PrefixFrom(a.WithZone(""), bits).Masked()
	return f, nil
}

// matches reports whether the filter asks for the socket.
func (f *Filter) matches(s *Socket) bool {
	return f.mask()&(1<<s.State) != 0 &&
		(f.Port == 0 || f.Port == s.Remote.Port()) &&
		(!f.Destination.IsValid() || f.Destination.Contains(s.Remote.Addr()))
}

// mask has a bit for each state asked for.
func (f *Filter) mask() uint32 {
	if len(f.States) == 0 {
		return 1<<(Closing+1) - 1<<Established
	}
	var m uint32
	for _, s := range f.States {
		m |= 1 << s
	}
	return m
}

// Sockets goes through the sockets that the filter asks for, in no order. The
// kernel is asked while the iteration goes on, so what opens, closes or changes
// its state meanwhile may be missing or come twice.
//
// An error, also ctx's, is the last element, with a zero Socket. On systems
// other than Linux it wraps errors.ErrUnsupported. Sockets may be used
// concurrently.
func Sockets(ctx context.Context, f Filter) iter.Seq2[Socket, error] {
	return func(yield func(Socket, error) bool) {
		f, err := f.validate()
		if err != nil {
			yield(Socket{}, err)
			return
		}
		_, err = each(ctx, f, func(s *Socket) bool { return yield(*s, nil) })
		if err != nil {
			yield(Socket{}, err)
		}
	}
}
