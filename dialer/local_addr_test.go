package dialer_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
)

// DialEach is what DialContext does with Sources on Windows. It works elsewhere,
// too, with a plain bind.

func TestDialEachTriesEverySourceOfEveryAddress(t *testing.T) {
	addr := netip.MustParseAddrPort(echo(t, "127.0.0.1:0"))
	names := &nameServer{TB: t, hosts: map[string][]string{"both.test": {"::1", "127.0.0.1"}, "six.test": {"::1"}}}
	var h hooks
	d := &dialer.Dialer{Resolver: names.resolver(), Sources: prefixes("192.0.2.9/32", "127.0.0.1/32")}
	for _, host := range []string{"127.0.0.1", "both.test", ""} {
		for range 2 { // whichever source comes first
			h.events = nil
			dst := net.JoinHostPort(host, portOf(addr))
			c, err := d.DialEach(h.context(t.Context()), "tcp", dst)
			if err != nil {
				t.Fatalf("%q: %v", dst, err)
			}
			if got := c.Source().String(); got != "127.0.0.1" || c.LocalAddr().(*net.TCPAddr).IP.String() != got {
				t.Errorf("%q: got source %s at %v, want 127.0.0.1", dst, got, c.LocalAddr())
			}
			if got := roundTrip(t, c, "x"); got != "x" {
				t.Errorf("%q: got %q back, want x", dst, got)
			}
			if n := len(h.events); n != 2 && n != 4 || h.events[n-1][:5] != "done " {
				t.Errorf("%q: traced %q, want one attempt for each source", dst, h.events)
			}
			c.Close()
		}
	}
	wantNothingCounted(t)
}

func TestDialEachFailsLikeDialContext(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	closed := netip.MustParseAddrPort(l.Addr().String())
	l.Close()
	names := &nameServer{TB: t, hosts: map[string][]string{"both.test": {"::1", "127.0.0.1"}, "six.test": {"::1"}}}
	d := &dialer.Dialer{Resolver: names.resolver(), Sources: prefixes("127.0.0.1/32")}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		ctx           context.Context
		network, addr string
		want          error
	}{
		{t.Context(), "tcp", closed.String(), errRefused},
		{t.Context(), "tcp", "both.test:" + portOf(closed), errRefused},
		{t.Context(), "tcp", "six.test:" + portOf(closed), dialer.ErrNoSource},
		{t.Context(), "tcp6", "both.test:" + portOf(closed), dialer.ErrNoSource},
		{ended, "tcp", closed.String(), context.Canceled},
	} {
		for name, dial := range map[string]func() (net.Conn, error){
			"DialEach":    func() (net.Conn, error) { return d.DialEach(test.ctx, test.network, test.addr) },
			"DialContext": func() (net.Conn, error) { return d.DialContext(test.ctx, test.network, test.addr) },
		} {
			if _, err := dial(); !errors.Is(err, test.want) || !errors.As(err, new(*net.OpError)) {
				t.Errorf("%s %s %s: got %v, want a *net.OpError with %v", name, test.network, test.addr, err, test.want)
			}
		}
	}
	for _, addr := range []string{"127.0.0.1", "127.0.0.1:no-such-service", "nowhere.test:1"} {
		_, ours := d.DialEach(t.Context(), "tcp", addr)
		_, nets := d.DialContext(t.Context(), "tcp", addr)
		if ours == nil || nets == nil || ours.Error() != nets.Error() {
			t.Errorf("%s: got %v, want net's %v", addr, ours, nets)
		}
	}
	wantNothingCounted(t)
}

func TestDialEachRunsOutOfSources(t *testing.T) {
	d := &dialer.Dialer{Sources: prefixes("192.0.2.8/32", "192.0.2.9/32")}
	_, err := d.DialEach(t.Context(), "tcp", "127.0.0.1:9")
	var se *dialer.SourceError
	if !errors.As(err, &se) || !errors.Is(err, errAddrNotAvail) {
		t.Fatalf("got %v, want a *SourceError with %v", err, errAddrNotAvail)
	}
	slices.SortFunc(se.Sources, netip.Addr.Compare)
	if want := []netip.Addr{netip.MustParseAddr("192.0.2.8"), netip.MustParseAddr("192.0.2.9")}; !slices.Equal(se.Sources, want) {
		t.Errorf("got sources %v, want %v", se.Sources, want)
	}
	wantNothingCounted(t)
}

func TestDialEachSharesTheTimeAmongAddresses(t *testing.T) {
	names := &nameServer{TB: t, hosts: map[string][]string{"three.test": {"127.0.0.2", "127.0.0.3", "127.0.0.4"}}}
	var left []time.Duration
	d := &dialer.Dialer{
		Resolver: names.resolver(),
		Sources:  prefixes("127.0.0.1/32"),
		ControlContext: func(ctx context.Context, _, _ string, _ syscall.RawConn) error {
			deadline, _ := ctx.Deadline()
			left = append(left, time.Until(deadline))
			return errors.New("next")
		},
	}
	for limit, want := range map[time.Duration][]time.Duration{
		time.Hour:   {20 * time.Minute, 30 * time.Minute, time.Hour},
		time.Second: {time.Second, time.Second, time.Second},
		5e9:         {2 * time.Second, 2500 * time.Millisecond, 5 * time.Second},
	} {
		left = nil
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		d.DialEach(ctx, "tcp", "three.test:9")
		cancel()
		if len(left) != len(want) {
			t.Fatalf("within %v: got %d attempts, want %d", limit, len(left), len(want))
		}
		for i := range want {
			if off := want[i] - left[i]; off < 0 || off > 500*time.Millisecond {
				t.Errorf("within %v: got %v for address %d, want %v", limit, left[i], i, want[i])
			}
		}
	}
}
