package dialer_test

import (
	"context"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/internal/netlab"
)

// wish is a Chooser that takes the source that the context asks for while it is
// among those left, and another one then.
type wish struct{}

type wishKey struct{}

func wishing(ctx context.Context, src string) context.Context {
	return context.WithValue(ctx, wishKey{}, netip.MustParseAddr(src))
}

func (wish) Choose(ctx context.Context, _ netip.AddrPort, from []dialer.Budget) int {
	i := slices.IndexFunc(from, func(b dialer.Budget) bool { return b.Source == ctx.Value(wishKey{}) })
	return max(i, 0)
}

// ipRule runs ip rule for IPv6 in the namespace that the test is in.
func ipRule(t *testing.T, args string) {
	t.Helper()
	if out, err := exec.Command("ip", append([]string{"-6", "rule"}, strings.Fields(args)...)...).CombinedOutput(); err != nil {
		t.Fatalf("ip -6 rule %s: %v: %s", args, err, out)
	}
}

// halfInAnotherTable makes the upper half of a prefix this host's own by a table
// that only packets from outside are looked up in.
func halfInAnotherTable(t *testing.T) (whole []netip.Prefix) {
	t.Helper()
	ipRule(t, "add iif eth0 lookup 100")
	ipRoute(t, "add local 2001:db8:5::4/126 dev lo table 100")
	return prefixes("2001:db8:5::/125")
}

func TestDialFromWhatIsThisHostsByAnotherTable(t *testing.T) {
	port, inside := inLab(t, routed(prefixes("2001:db8:5::/64")...))
	if !inside {
		return
	}
	addr := net.JoinHostPort(netlab.ServerAddr6.String(), port)
	d := &dialer.Dialer{Sources: halfInAnotherTable(t), Chooser: wish{}, Timeout: 10 * time.Second}
	mine := netip.MustParseAddr("2001:db8:5::5")
	if src, err := sourceOf(wishing(t.Context(), mine.String()), d, addr); err != nil || src != mine {
		t.Errorf("got source %v and %v, want %v", src, err, mine)
	}
	if src, err := sourceOf(dialer.WithSource(t.Context(), mine), d, addr); err != nil || src != mine {
		t.Errorf("pinned: got source %v and %v, want %v", src, err, mine)
	}
	// Once one address is known to be foreign, all of the prefix are looked up.
	for range 2 {
		if src, err := sourceOf(wishing(t.Context(), "2001:db8:5::1"), d, addr); err != nil || src.Less(netip.MustParseAddr("2001:db8:5::4")) {
			t.Errorf("the one wished for is foreign: got source %v and %v, want one of the upper half", src, err)
		}
	}
	start := time.Now()
	ipRoute(t, "add local 2001:db8:5::/126 dev lo table 100")
	src, err := netip.Addr{}, error(nil)
	for mine := netip.MustParseAddr("2001:db8:5::2"); src != mine && time.Since(start) < 5*time.Second; {
		src, err = sourceOf(dialer.WithSource(t.Context(), mine), d, addr)
	}
	if took := time.Since(start); err != nil || took > 2*time.Second {
		t.Errorf("got %v %v after a route was added to the other table, want a connection after a second at most", err, took)
	}
	wantNothingCounted(t)
}

func TestForeignAddressSaysNothingOfOthersOfItsPrefix(t *testing.T) {
	port, inside := inLab(t, func(lab *netlab.Lab) {
		lab.AddRoute(lab.Server, netip.MustParsePrefix("2001:db8:5::/48"), netip.MustParseAddr("2001:db8::99")) // what the server says gets lost
	})
	if !inside {
		return
	}
	addr := net.JoinHostPort(netlab.ServerAddr6.String(), port)
	ipRoute(t, "add local 2001:db8:5:1::/64 dev lo")
	d := &dialer.Dialer{Sources: append(halfInAnotherTable(t), prefixes("2001:db8:5:1::/126")...), Chooser: wish{}}
	ctx, cancel := context.WithCancel(t.Context())
	var dials sync.WaitGroup
	// The first sets the time of the looks. The third is looked at after the
	// second, in the same look.
	for _, src := range []string{"2001:db8:5:1::1", "2001:db8:5::1", "2001:db8:5::5"} {
		dials.Go(func() { sourceOf(wishing(ctx, src), d, addr) })
		sent(t, netip.MustParseAddr(src), 1)
	}
	// The foreign one goes on with one of the upper half.
	const synSent = 2
	waiting := func(src string) int {
		return netlab.Count(t, func(s netlab.Socket) bool { return s.State == synSent && s.Local.Addr() == netip.MustParseAddr(src) })
	}
	netlab.Await(t, "the foreign one is given up", func() bool { return waiting("2001:db8:5::1") == 0 })
	<-time.After(100 * time.Millisecond) // the rest of that look
	if n := waiting("2001:db8:5::5"); n != 1 {
		t.Errorf("got %d dials from the other half, want 1: it is this host's", n)
	}
	cancel()
	dials.Wait()
	wantNothingCounted(t)
}

// A look finds nothing wrong with a dial whose answer takes longer than that.
func TestSlowAnswersToAPrefixAreWaitedFor(t *testing.T) {
	port, inside := inLab(t, func(lab *netlab.Lab) {
		lab.Far(300 * time.Millisecond)
		for _, args := range []string{
			"-n " + lab.Client + " addr add 2001:db8:f::1/64 dev far0 nodad",
			"-n " + lab.Server + " addr add 2001:db8:f::2/64 dev far0 nodad",
			"-n " + lab.Server + " route add 198.51.100.0/24 dev far0",
			"-n " + lab.Server + " route add 2001:db8:5::/48 dev far0",
		} {
			if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
				t.Fatalf("ip %s: %v: %s", args, err, out)
			}
		}
	})
	if !inside {
		return
	}
	ipRoute(t, "add local 198.51.100.0/24 dev lo")
	ipRoute(t, "add local 2001:db8:5:1::/64 dev lo")
	ipRoute(t, "add local 2001:db8:5:2::/64 dev lo table 100")
	ipRule(t, "add iif far0 lookup 100")
	var dials sync.WaitGroup
	for from, server := range map[string]string{
		"198.51.100.0/24":     netlab.FarServerAddr.String(),
		"2001:db8:5:1::/64":   "2001:db8:f::2",
		"2001:db8:5:1::8/125": "2001:db8:f::2",
		"2001:db8:5:2::/64":   "2001:db8:f::2",
	} {
		d := &dialer.Dialer{Sources: prefixes(from), Timeout: 10 * time.Second}
		for range 50 {
			dials.Go(func() {
				if src, err := sourceOf(t.Context(), d, net.JoinHostPort(server, port)); err != nil || !d.Sources[0].Contains(src) {
					t.Errorf("from %s: got source %v and %v, want one of it", from, src, err)
				}
			})
		}
	}
	dials.Wait()
	wantNothingCounted(t)
}
