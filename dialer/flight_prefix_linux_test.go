package dialer_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/internal/netlab"
)

// ipRoute runs ip route in the namespace that the test is in.
func ipRoute(t *testing.T, args string) {
	t.Helper()
	if out, err := exec.Command("ip", append([]string{"route"}, strings.Fields(args)...)...).CombinedOutput(); err != nil {
		t.Fatalf("ip route %s: %v: %s", args, err, out)
	}
}

// routed has the server send the answers to these prefixes to the client.
func routed(list ...netip.Prefix) func(lab *netlab.Lab) {
	return func(lab *netlab.Lab) {
		for _, p := range list {
			via := netlab.ClientAddr
			if p.Addr().Is6() {
				via = netlab.ClientAddr6
			}
			lab.AddRoute(lab.Server, p, via)
		}
	}
}

func TestPrefixWithoutLocalRouteFailsWithTheCommandThatMendsIt(t *testing.T) {
	from := prefixes("198.51.100.0/28", "2001:db8:5::/64", "2001:db8:6::/125")
	port, inside := inLab(t, routed(from...))
	if !inside {
		return
	}
	for _, p := range from {
		server := netlab.ServerAddr
		if p.Addr().Is6() {
			server = netlab.ServerAddr6
		}
		addr := net.JoinHostPort(server.String(), port)
		d := &dialer.Dialer{Sources: []netip.Prefix{p}, Timeout: 10 * time.Second}
		first, soonest := time.Duration(0), time.Hour
		for i := range 4 {
			start := time.Now()
			src, err := sourceOf(t.Context(), d, addr)
			took := time.Since(start)
			var e *dialer.SourceError
			if !errors.As(err, &e) || isTimeout(err) || e.Destination.String() != addr || len(e.Sources) == 0 || !p.Contains(e.Sources[0]) {
				t.Fatalf("from %v: got source %v and %v, want a *SourceError that is no timeout", p, src, err)
			}
			if i == 0 {
				first = took
				t.Logf("from %v: %v", p, err)
				continue
			}
			soonest = min(soonest, took)
		}
		t.Logf("from %v: the first dial failed after %v, one of the next three after %v", p, first, soonest)
		if soonest > 400*time.Millisecond { // a look is after 500 ms
			t.Errorf("from %v: got errors after %v or later, want no dial to wait once it is known", p, soonest)
		}
		_, err := sourceOf(t.Context(), d, addr)
		advice := regexp.MustCompile(`\(ip route (add local \S+ dev lo)\)`).FindStringSubmatch(err.Error())
		if advice == nil || !strings.Contains(err.Error(), "Dialer.Sources") {
			t.Fatalf("from %v: got %q, want the field and a command", p, err)
		}
		ipRoute(t, advice[1])
		if src, err := sourceOf(t.Context(), d, addr); err != nil || !p.Contains(src) {
			t.Errorf("from %v, after ip route %s: got source %v and %v, want an address of it", p, advice[1], src, err)
		}
	}
	wantNothingCounted(t)
}

// An address of a prefix need not be configured for a pin to it, either.
func TestPinToAnAddressOfAPrefix(t *testing.T) {
	from := prefixes("198.51.100.0/28", "2001:db8:5::/64")
	port, inside := inLab(t, routed(from...))
	if !inside {
		return
	}
	d := &dialer.Dialer{Sources: from, Timeout: 10 * time.Second}
	for i, server := range []netip.Addr{netlab.ServerAddr, netlab.ServerAddr6} {
		pin := []string{"198.51.100.7", "2001:db8:5::7"}[i]
		src := netip.MustParseAddr(pin)
		ctx := dialer.WithSource(t.Context(), src)
		addr := net.JoinHostPort(server.String(), port)
		if got, err := sourceOf(ctx, d, addr); !errors.As(err, new(*dialer.SourceError)) || isTimeout(err) {
			t.Errorf("from %s without a local route: got source %v and %v, want a *SourceError that is no timeout", pin, got, err)
		} else if advice := " (ip route add local " + from[i].String() + " dev lo)"; !strings.Contains(err.Error(), advice) || !strings.Contains(err.Error(), "WithSource") {
			t.Errorf("from %s without a local route: got %q, want WithSource and%s", pin, err, advice)
		}
		ipRoute(t, "add local "+pin+" dev lo")
		if got, err := sourceOf(ctx, d, addr); err != nil || got != src {
			t.Errorf("from %s with a local route: got source %v and %v, want the pin", pin, got, err)
		}
		if got, err := sourceOf(ctx, new(dialer.Dialer), addr); src.Is6() && !errors.As(err, new(*dialer.SourceError)) {
			t.Errorf("from %s by a Dialer that has no such prefix: got source %v and %v, want a *SourceError", pin, got, err)
		}
	}
	wantNothingCounted(t)
}

func TestDialFromAPrefixWithoutLocalRouteGoesOnWithTheNextSource(t *testing.T) {
	bad, good := netip.MustParsePrefix("2001:db8:5::/64"), netip.MustParsePrefix("2001:db8::1/128")
	port, inside := inLab(t, func(lab *netlab.Lab) {
		routed(bad)(lab)
		lab.Sysctl(lab.Client, "net/ipv6/ip_nonlocal_bind", "1") // which makes a bind say nothing
	})
	if !inside {
		return
	}
	addr := net.JoinHostPort(netlab.ServerAddr6.String(), port)
	d := &dialer.Dialer{Sources: []netip.Prefix{bad, good}, Chooser: &fixed{}, Timeout: 10 * time.Second}
	soonest := time.Hour // but for the first dial, which has to find out
	for i := range 4 {
		start := time.Now()
		if src, err := sourceOf(t.Context(), d, addr); err != nil || src != good.Addr() {
			t.Errorf("got source %v and %v, want %v", src, err, good.Addr())
		}
		if i > 0 {
			soonest = min(soonest, time.Since(start))
		}
	}
	if soonest > 400*time.Millisecond { // a look is after 500 ms
		t.Errorf("got connections after %v or later, want no dial to wait once the prefix is suspected", soonest)
	}
	wantNothingCounted(t)
}

func TestDialUnderWayFromAPrefixWhoseLocalRouteIsRemovedGoesOn(t *testing.T) {
	from := prefixes("198.51.100.0/24", "2001:db8:5::/64")
	port, inside := inLab(t, unanswered(from))
	if !inside {
		return
	}
	for i, to := range []struct{ server, other netip.Addr }{
		{netlab.ServerAddr, netlab.ClientAddr},
		{netlab.ServerAddr6, netlab.ClientAddr6},
	} {
		addr := net.JoinHostPort(to.server.String(), port)
		alone := &dialer.Dialer{Sources: from[i : i+1], Timeout: 10 * time.Second}
		both := &dialer.Dialer{Sources: []netip.Prefix{from[i], netip.PrefixFrom(to.other, to.other.BitLen())}, Chooser: &fixed{}, Timeout: 10 * time.Second}
		var dials sync.WaitGroup
		for range 20 {
			dials.Go(func() {
				var e *dialer.SourceError
				if src, err := sourceOf(t.Context(), alone, addr); !errors.As(err, &e) || isTimeout(err) {
					t.Errorf("alone: got source %v and %v, want a *SourceError", src, err)
				}
			})
			dials.Go(func() {
				if src, err := sourceOf(t.Context(), both, addr); err != nil || src != to.other {
					t.Errorf("got source %v and %v, want %v", src, err, to.other)
				}
			})
		}
		const synSent = 2
		netlab.Await(t, "all dials are under way", func() bool {
			return netlab.Count(t, func(s netlab.Socket) bool { return s.State == synSent && from[i].Contains(s.Local.Addr()) }) == 40
		})
		ipRoute(t, fmt.Sprintf("del local %v dev lo", from[i]))
		dials.Wait()
	}
	wantNothingCounted(t)
}

// What is this host's own by other ways than the local table's must not pass for
// foreign, nor what nothing is known of.
func TestDialFromAPrefixThatMayBeThisHostsIsLeftAlone(t *testing.T) {
	from := prefixes("2001:db8:5::/64")
	port, inside := inLab(t, func(lab *netlab.Lab) {
		lab.AddRoute(lab.Server, from[0], netip.MustParseAddr("2001:db8::99")) // what the server says gets lost
	})
	if !inside {
		return
	}
	addr := net.JoinHostPort(netlab.ServerAddr6.String(), port)
	waits := func(why string, option func(fd int) error) {
		t.Helper()
		var sockets atomic.Int64
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		d := &dialer.Dialer{Sources: from, Control: func(_, _ string, c syscall.RawConn) (err error) {
			sockets.Add(1)
			c.Control(func(fd uintptr) { err = option(int(fd)) })
			return err
		}}
		if src, err := sourceOf(ctx, d, addr); !isTimeout(err) || sockets.Load() != 1 {
			t.Errorf("%s: got source %v and %v with %d sockets, want a single one that waits until the time is up", why, src, err, sockets.Load())
		}
	}
	waits("IP_TRANSPARENT", func(fd int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TRANSPARENT, 1) })
	nothing := func(int) error { return nil }
	ipRoute(t, "add local 2001:db8:5::/64 dev lo table 100")
	ipRule(t, "add fwmark 1 lookup 100")
	waits("local in another table", nothing)
	ipRoute(t, "del local 2001:db8:5::/64 dev lo table 100")
	ipRule(t, "del fwmark 1 lookup 100")
	ipRoute(t, "add local 2001:db8:5::/64 dev eth0")
	waits("local by another device", nothing)
	wantNothingCounted(t)
}
