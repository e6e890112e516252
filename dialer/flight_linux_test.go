package dialer_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/internal/netlab"
)

// farAddr runs ip addr for far0.
func farAddr(t *testing.T, verb, p string) {
	t.Helper()
	if out, err := exec.Command("ip", "addr", verb, p, "dev", "far0").CombinedOutput(); err != nil {
		t.Fatalf("ip addr %s %s: %v: %s", verb, p, err, out)
	}
}

// On the way to a far host there are always dials without an answer, and the
// answer to those from an address that is gone is for nobody.
func TestSourceThatIsRemovedFailsNoDialToAFarHost(t *testing.T) {
	port, inside := inLab(t, func(lab *netlab.Lab) {
		lab.Far(100 * time.Millisecond)
		lab.Sysctl(lab.Client, "net/ipv4/conf/all/promote_secondaries", "1")
	})
	if !inside {
		return
	}
	const removed = "198.18.1.13"
	farAddr(t, "add", removed+"/24")
	farAddr(t, "add", "198.18.1.14/24")
	d := &dialer.Dialer{Sources: prefixes("198.18.1.1/32", removed+"/32", "198.18.1.14/32"), Timeout: 10 * time.Second}
	l := startLoad(t, d, 24, netlab.FarServerAddr.String()+":"+port)
	l.more(t, removed, 20)
	for range 3 {
		farAddr(t, "del", removed+"/24")
		l.more(t, "198.18.1.14", 20)
		farAddr(t, "add", removed+"/24")
		l.more(t, removed, 20)
	}
	farAddr(t, "del", removed+"/24")
	l.stop()
	l.done.Wait()
	if n := l.failed.Load(); n != 0 {
		t.Errorf("got %d failed dials, want none; the first: %v", n, *l.first.Load())
	}
	wantNothingCounted(t)
}

// sent waits until that many SYNs from the address are without an answer.
func sent(t *testing.T, from netip.Addr, n int) {
	t.Helper()
	const synSent = 2
	netlab.Await(t, fmt.Sprintf("%d dials from %v are under way", n, from), func() bool {
		return netlab.Count(t, func(s netlab.Socket) bool { return s.State == synSent && s.Local.Addr() == from }) == n
	})
}

func TestDialUnderWayFromAnAddressThatIsRemovedGoesOnWithTheNext(t *testing.T) {
	port, inside := inLab(t, func(lab *netlab.Lab) {
		lab.Sysctl(lab.Client, "net/ipv4/conf/all/promote_secondaries", "1")
		for _, p := range []string{"198.18.0.13/24", "198.18.0.14/24", "2001:db8::13/64", "2001:db8::14/64"} {
			lab.AddAddr(lab.Client, netip.MustParsePrefix(p))
		}
		// What the server says to these two gets lost.
		lab.AddRoute(lab.Server, netip.MustParsePrefix("198.18.0.13/32"), netip.MustParseAddr("198.18.0.99"))
		lab.AddRoute(lab.Server, netip.MustParsePrefix("2001:db8::13/128"), netip.MustParseAddr("2001:db8::99"))
	})
	if !inside {
		return
	}
	for _, v := range []struct{ server, silent, bits, other string }{
		{netlab.ServerAddr.String(), "198.18.0.13", "/24", "198.18.0.14"},
		{netlab.ServerAddr6.String(), "2001:db8::13", "/64", "2001:db8::14"},
	} {
		t.Run(v.silent, func(t *testing.T) {
			silent, other := netip.MustParseAddr(v.silent), netip.MustParseAddr(v.other)
			d := &dialer.Dialer{
				Sources: []netip.Prefix{netip.PrefixFrom(silent, silent.BitLen()), netip.PrefixFrom(other, other.BitLen())},
				Chooser: &fixed{}, // the first of those that are left
			}
			addr := net.JoinHostPort(v.server, port)
			short, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
			defer cancel()
			if src, err := sourceOf(short, d, addr); !isTimeout(err) {
				t.Errorf("the address is there: got source %v and %v, want the dial to wait for an answer", src, err)
			}

			alone, cancelAlone := context.WithCancel(dialer.WithSource(t.Context(), silent))
			var dials sync.WaitGroup
			dials.Go(func() {
				if src, err := sourceOf(alone, d, addr); !errors.Is(err, context.Canceled) {
					t.Errorf("pinned: got source %v and %v, want the dial to wait: the address may come back", src, err)
				}
			})
			dials.Go(func() {
				if src, err := sourceOf(t.Context(), d, addr); err != nil || src != other {
					t.Errorf("got source %v and %v, want %v", src, err, other)
				}
				cancelAlone()
			})
			sent(t, silent, 2)
			ipAddr(t, "del", v.silent+v.bits)
			dials.Wait()
		})
	}
	wantNothingCounted(t)
}

// sourceOf dials and says from where.
func sourceOf(ctx context.Context, d *dialer.Dialer, addr string) (netip.Addr, error) {
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return netip.Addr{}, err
	}
	defer c.Close()
	return c.(*dialer.Conn).Source(), nil
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// unanswered has a prefix of IPv4 and one of IPv6 be the client's own, and loses what
// the server says to them.
func unanswered(from []netip.Prefix) func(lab *netlab.Lab) {
	return func(lab *netlab.Lab) {
		for i, nobody := range []string{"198.18.0.99", "2001:db8::99"} {
			lab.AddLocal(lab.Client, from[i])
			lab.AddRoute(lab.Server, from[i], netip.MustParseAddr(nobody))
		}
	}
}

// The addresses of a prefix are not configured one by one, and must not pass for
// removed because of that.
func TestDialUnderWayFromAPrefixIsLeftAlone(t *testing.T) {
	from := prefixes("198.51.100.0/24", "2001:db8:5::/64")
	port, inside := inLab(t, unanswered(from))
	if !inside {
		return
	}
	var dials sync.WaitGroup
	for _, server := range []netip.Addr{netlab.ServerAddr, netlab.ServerAddr6} {
		dials.Go(func() {
			var sockets atomic.Int64
			d := &dialer.Dialer{Sources: from, Timeout: 1500 * time.Millisecond, Control: func(string, string, syscall.RawConn) error {
				sockets.Add(1)
				return nil
			}}
			src, err := sourceOf(t.Context(), d, net.JoinHostPort(server.String(), port))
			if !isTimeout(err) || sockets.Load() != 1 {
				t.Errorf("to %v: got source %v and %v with %d sockets, want a single one that waits until the time is up", server, src, err, sockets.Load())
			}
		})
	}
	dials.Wait()
	wantNothingCounted(t)
}
