package dialer

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// ErrNoSource is in the error of a dial to an address of whose family (IPv4,
// IPv6) Dialer.Sources has none.
var ErrNoSource = errors.New("no source of the destination's family")

// SourceError says that a destination could not be dialed from any source, for
// a reason that lies on this side: no local port was left, or the source is not
// an address of this host or has no way there. It stands inside the *net.OpError
// that a dial returns.
type SourceError struct {
	// Destination is the address that was dialed.
	Destination netip.AddrPort

	// Sources are those that were tried, in that order. Empty if the kernel was
	// to choose, or if there was none of the destination's family.
	Sources []netip.Addr

	// Err is what the last of them failed with, as an *os.SyscallError, or
	// ErrNoSource.
	Err error
}

// Error names the destination, the sources and a way out.
func (e *SourceError) Error() string {
	switch {
	case errors.Is(e.Err, ErrNoSource):
		return fmt.Sprintf("dialer: %v: %v; add an %s address to Sources", e.Destination, e.Err, family(e.Destination.Addr()))
	case faultOf(e.Err) == noPort:
		return fmt.Sprintf("dialer: no local port is left for %v%s: %v; keep connections open for reuse, or add sources", e.Destination, e.from(), e.Err)
	default:
		return fmt.Sprintf("dialer: %v cannot be reached%s: %v; check that each is an address of this host with a route there", e.Destination, e.from(), e.Err)
	}
}

// from lists the sources, but not hundreds of them.
func (e *SourceError) from() string {
	const shown = 8
	var names []string
	for _, a := range e.Sources[:min(len(e.Sources), shown)] {
		names = append(names, a.String())
	}
	list := strings.Join(names, ", ")
	switch more := len(e.Sources) - shown; {
	case len(e.Sources) == 0:
		return ""
	case more > 0:
		return fmt.Sprintf(" from %s and %d more", list, more)
	}
	return " from " + list
}

// Unwrap returns Err.
func (e *SourceError) Unwrap() error { return e.Err }

// Timeout reports whether Err is a timeout. The *net.OpError around e asks it.
func (e *SourceError) Timeout() bool {
	var t interface{ Timeout() bool }
	return errors.As(e.Err, &t) && t.Timeout()
}

func family(a netip.Addr) string {
	if a.Is6() {
		return "IPv6"
	}
	return "IPv4"
}
