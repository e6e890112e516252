package dialer

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
)

// Errors to branch on with errors.Is.
var (
	// ErrNoSource: Dialer.Sources and Interfaces have no address of the
	// destination's family (IPv4, IPv6).
	ErrNoSource = errors.New("no source of the destination's family")

	// ErrPortsExhausted: no source has a local port left for the destination.
	// The error is an *ExhaustedError.
	ErrPortsExhausted = errors.New("local ports exhausted")

	// ErrFilesExhausted: the process, or the host, has no file descriptor left
	// for another socket (EMFILE, ENFILE). The error is a *FilesError.
	ErrFilesExhausted = errors.New("file descriptors exhausted")
)

var (
	// errNoPort is what net has met when it repeats an attempt.
	errNoPort = os.NewSyscallError("connect", syscall.EADDRNOTAVAIL)
	// errPortsInUse stands for the refusal that the kernel is spared where the
	// process itself uses every port of Dialer.ExplicitPorts.
	errPortsInUse = os.NewSyscallError("bind", syscall.EADDRINUSE)
)

// ExhaustedError says that no local port is left for a destination. It stands
// inside the *net.OpError that a dial returns, and errors.Is finds
// ErrPortsExhausted in it as well as the kernel's errno, mostly EADDRNOTAVAIL.
//
// The figures are those of this process at the moment of the error, added up over
// Sources. What other processes use is not in them.
type ExhaustedError struct {
	// Destination is the address that was dialed.
	Destination netip.AddrPort

	// Sources are those that had no port left. Empty if the kernel was to choose
	// the source; then InUse and TimeWait are not known and zero.
	Sources []netip.Addr

	InUse    int       // ports of open connections and of dials under way
	TimeWait int       // ports in a TIME_WAIT that this process has left
	Ports    int       // ports that there are, over all sources
	Range    PortRange // the ports of each source

	// Err is what the kernel last said, an *os.SyscallError.
	Err error

	// Other is what the dial met besides: at another address of the host, or
	// the end of the context while it waited for a port. Nil if nothing.
	Other error
}

// Error names the destination, the sources, the figures and a way out.
func (e *ExhaustedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "dialer: no local port is left for %v%s", e.Destination, from(e.Sources))
	if len(e.Sources) > 0 {
		fmt.Fprintf(&b, " (%d in use and %d in TIME_WAIT by this process, of %d in %v%s)", e.InUse, e.TimeWait, e.Ports, e.Range, e.others())
	} else {
		fmt.Fprintf(&b, " in %v", e.Range)
	}
	fmt.Fprintf(&b, ": %v; keep connections open for reuse, let the peer close first, or add addresses to Sources", e.Err)
	if e.Other != nil {
		fmt.Fprintf(&b, "; also: %v", e.Other)
	}
	return b.String()
}

// others says who has the ports that are not counted, where they are most.
func (e *ExhaustedError) others() string {
	if 2*(e.InUse+e.TimeWait) >= e.Ports {
		return ""
	}
	return "; most are taken by other processes, or by connections not made from Sources"
}

// Unwrap returns ErrPortsExhausted, Err, and Other if there is one.
func (e *ExhaustedError) Unwrap() []error {
	if e.Other != nil {
		return []error{ErrPortsExhausted, e.Err, e.Other}
	}
	return []error{ErrPortsExhausted, e.Err}
}

// Timeout reports whether the dial's time was up. The *net.OpError around e asks
// it.
func (e *ExhaustedError) Timeout() bool { return isTimeout(e.Other) }

// FilesError says that no file descriptor was left for a socket. It stands inside
// the *net.OpError that a dial returns.
type FilesError struct {
	// Limit is how many descriptors this process may have (RLIMIT_NOFILE); 0 if
	// that is not known.
	Limit uint64

	// Err is the system's error: EMFILE if the process is at its limit, ENFILE
	// if the host is.
	Err error
}

// Error names the limit and a way out.
func (e *FilesError) Error() string {
	if errors.Is(e.Err, syscall.ENFILE) {
		return fmt.Sprintf("dialer: the host has no file descriptor left for a socket: %v; raise fs.file-max", e.Err)
	}
	limit := ""
	if e.Limit > 0 {
		limit = fmt.Sprintf(" of its %d", e.Limit)
	}
	return fmt.Sprintf("dialer: the process has no file descriptor%s left for a socket: %v; close idle connections, or raise RLIMIT_NOFILE (ulimit -n)", limit, e.Err)
}

// Unwrap returns ErrFilesExhausted and Err.
func (e *FilesError) Unwrap() []error { return []error{ErrFilesExhausted, e.Err} }

// SourceError says that a destination could not be dialed from any source, for
// a reason that lies on this side other than a lack of ports: the source is not
// an address of this host, or has no way there. It stands inside the *net.OpError
// that a dial returns.
type SourceError struct {
	// Destination is the address that was dialed.
	Destination netip.AddrPort

	// Sources are those that were tried, in that order. Empty if there was none
	// of the destination's family.
	Sources []netip.Addr

	// Err is what the last of them failed with, as an *os.SyscallError, or
	// ErrNoSource, with the error of the Interfaces in it if they could not be
	// asked.
	Err error

	pinned netip.Addr   // by WithSource
	prefix netip.Prefix // that the last source is one of several of, where it need not be configured by itself
}

// Error names the destination, the sources and a way out.
func (e *SourceError) Error() string {
	which := "each address in Dialer.Sources"
	if e.pinned.IsValid() {
		which = "the address given to WithSource"
	}
	switch {
	case errors.Is(e.Err, ErrNoSource) && e.pinned.IsValid():
		return fmt.Sprintf("dialer: %v: %v; give WithSource an %s address, not %v", e.Destination, e.Err, family(e.Destination.Addr()), e.pinned)
	case errors.Is(e.Err, ErrNoSource):
		return fmt.Sprintf("dialer: %v: %v; add an %s address to Dialer.Sources or Interfaces", e.Destination, e.Err, family(e.Destination.Addr()))
	case faultOf(e.Err) == notOurs && e.prefix.IsValid() && e.pinned.IsValid():
		return fmt.Sprintf("dialer: %v cannot be dialed%s: %v; check that this host takes %s for its own, as one of %v in Dialer.Sources (ip route add local %v dev lo)", e.Destination, from(e.Sources), e.Err, which, e.prefix, e.prefix)
	case faultOf(e.Err) == notOurs && e.prefix.IsValid():
		return fmt.Sprintf("dialer: %v cannot be dialed%s: %v; Dialer.Sources has %v: check that this host takes all of it for its own (ip route add local %v dev lo)", e.Destination, from(e.Sources), e.Err, e.prefix, e.prefix)
	case faultOf(e.Err) == notOurs:
		return fmt.Sprintf("dialer: %v cannot be dialed%s: %v; check that %s is one of this host", e.Destination, from(e.Sources), e.Err, which)
	default:
		return fmt.Sprintf("dialer: %v cannot be reached%s: %v; check that %s has a route there%s", e.Destination, from(e.Sources), e.Err, which, e.local())
	}
}

// local is what else a prefix needs.
func (e *SourceError) local() string {
	if !e.prefix.IsValid() {
		return ""
	}
	return fmt.Sprintf(", and that this host takes all of %v for its own (ip route add local %v dev lo)", e.prefix, e.prefix)
}

// from lists sources, but not hundreds of them.
func from(list []netip.Addr) string {
	const shown = 8
	var names []string
	for _, a := range list[:min(len(list), shown)] {
		names = append(names, a.String())
	}
	text := strings.Join(names, ", ")
	switch more := len(list) - shown; {
	case len(list) == 0:
		return ""
	case more > 0:
		return fmt.Sprintf(" from %s and %d more", text, more)
	}
	return " from " + text
}

// Unwrap returns Err.
func (e *SourceError) Unwrap() error { return e.Err }

// Timeout reports whether Err is a timeout. The *net.OpError around e asks it.
func (e *SourceError) Timeout() bool { return isTimeout(e.Err) }

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

func family(a netip.Addr) string {
	if a.Is6() {
		return "IPv6"
	}
	return "IPv4"
}

// chooserError reports a Chooser that broke its contract.
type chooserError struct {
	by    Chooser
	index int
	n     int
}

func (e *chooserError) Error() string {
	return fmt.Sprintf("dialer: Dialer.Chooser: %T returned index %d, want one of 0 to %d", e.by, e.index, e.n-1)
}

// withFiles puts a FilesError into the error of a dial that had no descriptor.
func withFiles(err error) error {
	var op *net.OpError
	if !isFileLimit(err) || !errors.As(err, &op) {
		return err
	}
	explained := *op
	explained.Err = &FilesError{Limit: fileLimit(), Err: op.Err}
	return &explained
}

func isFileLimit(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && slices.Contains(errnoFiles, errno)
}
