package dialer_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http/httptrace"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
)

func TestZeroDialerDials(t *testing.T) {
	c := dial(t, new(dialer.Dialer), echo(t, "127.0.0.1:0"))
	if got := roundTrip(t, c, "hello"); got != "hello" {
		t.Errorf("got %q back, want hello", got)
	}
	if got := c.Source(); got.IsValid() {
		t.Errorf("got source %v, want none: the kernel chose", got)
	}
}

func roundTrip(t *testing.T, c net.Conn, text string) string {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	back := make([]byte, len(text))
	if _, err := io.ReadFull(c, back); err != nil {
		t.Fatal(err)
	}
	return string(back)
}

func TestOtherNetworksAreNetDialers(t *testing.T) {
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	path := filepath.Join(t.TempDir(), "s")
	unix, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close()
	for network, address := range map[string]string{"udp": udp.LocalAddr().String(), "unix": path} {
		controlled := false
		d := &dialer.Dialer{
			Sources: prefixes("127.0.0.9/32"),
			Control: func(string, string, syscall.RawConn) error { controlled = true; return nil },
		}
		c, err := d.Dial(network, address)
		if err != nil {
			t.Errorf("%s: %v", network, err)
			continue
		}
		c.Close()
		if _, ours := c.(*dialer.Conn); ours || !controlled {
			t.Errorf("%s: got a %T, Control called: %v; want net's own type, called", network, c, controlled)
		}
		if udp, ok := c.LocalAddr().(*net.UDPAddr); ok && udp.IP.String() == "127.0.0.9" {
			t.Errorf("udp: got source %v, want Sources left out", udp)
		}
	}
	if _, err := new(dialer.Dialer).Dial("carrier pigeon", "x"); !errors.As(err, new(net.UnknownNetworkError)) {
		t.Errorf("got %v, want net.UnknownNetworkError", err)
	}
}

func TestControlContextWinsAndItsErrorEndsTheDial(t *testing.T) {
	addr := echo(t, "127.0.0.1:0")
	refusal := errors.New("no")
	type key struct{}
	d := &dialer.Dialer{
		Control: func(string, string, syscall.RawConn) error {
			t.Error("Control was called besides ControlContext")
			return nil
		},
		ControlContext: func(ctx context.Context, network, address string, _ syscall.RawConn) error {
			if network != "tcp4" || address != addr || ctx.Value(key{}) != "v" {
				t.Errorf("got %s %s, value %v, want tcp4 %s and the dial's context", network, address, ctx.Value(key{}), addr)
			}
			return refusal
		},
		Sources: prefixes("127.0.0.1/32"),
	}
	_, err := d.DialContext(context.WithValue(t.Context(), key{}, "v"), "tcp", addr)
	var op *net.OpError
	if !errors.Is(err, refusal) || !errors.As(err, &op) || op.Op != "dial" {
		t.Errorf("got %v, want a *net.OpError of the dial with %v", err, refusal)
	}
	wantNothingCounted(t)
}

func TestTimeLimits(t *testing.T) {
	addr := echo(t, "127.0.0.1:0")
	past := time.Now().Add(-time.Second)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, test := range map[string]struct {
		d    *dialer.Dialer
		ctx  context.Context
		want error
	}{
		"deadline":  {&dialer.Dialer{Deadline: past}, t.Context(), context.DeadlineExceeded},
		"timeout":   {&dialer.Dialer{Timeout: -1}, t.Context(), context.DeadlineExceeded},
		"earlier":   {&dialer.Dialer{Timeout: time.Hour, Deadline: past}, t.Context(), context.DeadlineExceeded},
		"sooner":    {&dialer.Dialer{Timeout: -1, Deadline: time.Now().Add(time.Hour)}, t.Context(), context.DeadlineExceeded},
		"cancelled": {&dialer.Dialer{Timeout: time.Hour}, ended, context.Canceled},
	} {
		for _, sources := range [][]netip.Prefix{nil, prefixes("127.0.0.1/32")} {
			test.d.Sources = sources
			_, err := test.d.DialContext(test.ctx, "tcp", addr)
			var ne net.Error
			if !errors.Is(err, test.want) || !errors.As(err, &ne) || ne.Timeout() != (test.want == context.DeadlineExceeded) {
				t.Errorf("%s: got %v, want a net.Error that is %v", name, err, test.want)
			}
		}
	}
	wantNothingCounted(t)
}

func TestContextHasNoEffectAfterwards(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c, err := (&dialer.Dialer{Timeout: time.Minute}).DialContext(ctx, "tcp", echo(t, "127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cancel()
	if got := roundTrip(t, c, "x"); got != "x" {
		t.Errorf("got %q back, want x", got)
	}
}

func TestRefusedConnectionIsNotTheSourcesFault(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	addr := l.Addr().String()
	l.Close()
	d := &dialer.Dialer{Sources: prefixes("127.0.0.1/32", "127.0.0.2/32")}
	starts := 0
	trace := &httptrace.ClientTrace{ConnectStart: func(string, string) { starts++ }}
	_, err := d.DialContext(httptrace.WithClientTrace(t.Context(), trace), "tcp", addr)
	if !errors.Is(err, errRefused) || errors.As(err, new(*dialer.SourceError)) {
		t.Errorf("got %v, want net's error", err)
	}
	if starts != 1 {
		t.Errorf("got %d attempts, want 1: another source would be refused, too", starts)
	}
	wantNothingCounted(t)
}

// hooks records the connect hooks of a trace.
type hooks struct {
	mu     sync.Mutex
	events []string
}

func (h *hooks) context(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		ConnectStart: func(network, addr string) { h.add("start " + network + " " + addr) },
		ConnectDone: func(network, addr string, err error) {
			if err != nil {
				h.add("failed " + network + " " + addr)
				return
			}
			h.add("done " + network + " " + addr)
		},
	})
}

func (h *hooks) add(event string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, event)
}

func TestTraceSeesTheDial(t *testing.T) {
	addr := echo(t, "127.0.0.1:0")
	for _, sources := range [][]netip.Prefix{nil, prefixes("127.0.0.1/32")} {
		var h hooks
		c, err := (&dialer.Dialer{Sources: sources}).DialContext(h.context(t.Context()), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		if want := []string{"start tcp " + addr, "done tcp " + addr}; !slices.Equal(h.events, want) {
			t.Errorf("with sources %v: got %q, want %q", sources, h.events, want)
		}
	}
}

func TestDestinationWithoutSourceOfItsFamily(t *testing.T) {
	for addr, source := range map[string]string{"127.0.0.1:9": "::1/128", "[::1]:9": "127.0.0.1/32"} {
		_, err := (&dialer.Dialer{Sources: prefixes(source)}).Dial("tcp", addr)
		var op *net.OpError
		var se *dialer.SourceError
		switch {
		case !errors.Is(err, dialer.ErrNoSource) || !errors.As(err, &op) || !errors.As(err, &se):
			t.Errorf("%s from %s: got %v, want a *net.OpError with a *SourceError with ErrNoSource", addr, source, err)
		case se.Destination.String() != addr || len(se.Sources) != 0 || se.Timeout():
			t.Errorf("%s from %s: got %+v, want the destination, no sources, no timeout", addr, source, se)
		}
	}
}

// A dual-stack host, but sources of one family only: the other family must not
// be in the way, nor hide what happened.
func TestAddressThatIsMissingIsSaidToBe(t *testing.T) {
	for _, source := range []string{"127.0.0.1/32", "::1/128"} {
		for _, network := range []string{"tcp", "tcp4", "tcp6"} {
			d := &dialer.Dialer{Sources: prefixes(source)}
			_, want := new(net.Dialer).Dial(network, "")
			if _, got := d.Dial(network, ""); got == nil || got.Error() != want.Error() {
				t.Errorf("%s from %s: got %v, want %v as of net.Dialer", network, source, got, want)
			}
		}
	}
}

func TestHostWithAddressesOfBothFamilies(t *testing.T) {
	addr := netip.MustParseAddrPort(echo(t, "127.0.0.1:0"))
	names := &nameServer{TB: t, hosts: map[string][]string{"both.test": {"::1", "127.0.0.1"}}}
	d := &dialer.Dialer{Resolver: names.resolver(), Sources: prefixes("127.0.0.1/32")}
	c, err := d.Dial("tcp", net.JoinHostPort("both.test", portOf(addr)))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	l := listen(t, "127.0.0.1:0")
	closed := netip.MustParseAddrPort(l.Addr().String())
	l.Close()
	_, err = d.Dial("tcp", net.JoinHostPort("both.test", portOf(closed)))
	if !errors.Is(err, errRefused) || errors.Is(err, dialer.ErrNoSource) {
		t.Errorf("got %v, want %v: that there is no IPv6 source is of no interest", err, errRefused)
	}
	wantNothingCounted(t)
}

func portOf(a netip.AddrPort) string {
	_, port, _ := net.SplitHostPort(a.String())
	return port
}

func TestInvalidDialerDoesNotDial(t *testing.T) {
	d := &dialer.Dialer{Sources: []netip.Prefix{{}}}
	for _, network := range []string{"tcp", "udp"} {
		_, err := d.Dial(network, "127.0.0.1:9")
		if want := d.Validate(); err == nil || want == nil || err.Error() != want.Error() {
			t.Errorf("%s: got %v, want what Validate says: %v", network, err, want)
		}
	}
}

func wantNothingCounted(t *testing.T) {
	t.Helper()
	if n := dialer.Counted(); n != 0 {
		t.Errorf("got %d in the ledger, want it empty: everything is closed", n)
	}
}
