package dialer_test

import (
	"context"
	"errors"
	"net"
	"net/http/httptrace"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/internal/netlab"
)

// inLab reruns the test in the namespace Client, after setup, with an echo
// server in the namespace Server. It returns the server's port, and false in
// the process that only looks on.
func inLab(t *testing.T, setup func(*netlab.Lab)) (port string, inside bool) {
	t.Helper()
	return inLabWith(t, echo, setup)
}

// inLabWith is inLab with another server.
func inLabWith(t *testing.T, serve func(tb testing.TB, address string) string, setup func(*netlab.Lab)) (port string, inside bool) {
	t.Helper()
	if os.Getenv("ROLE") == "server" {
		_, port, _ := net.SplitHostPort(serve(t, ":0"))
		netlab.Hold(port)
		return "", false
	}
	if !netlab.Inside() {
		lab := netlab.New(t)
		if setup != nil {
			setup(lab)
		}
		port := lab.Start(t, lab.Server, "ROLE=server")
		lab.Rerun(t, lab.Client, "PORT="+port)
		return "", false
	}
	return os.Getenv("PORT"), true
}

func TestSourcesThatAreNotOursAreSkipped(t *testing.T) {
	port, inside := inLab(t, nil)
	if !inside {
		return
	}
	v4, v6 := netlab.ServerAddr.String()+":"+port, net.JoinHostPort(netlab.ServerAddr6.String(), port)
	for _, test := range []struct {
		name, addr, bad, good string
		attempts              int // net's
		want                  error
	}{
		{"bind EADDRNOTAVAIL", v4, "192.0.2.9/32", "198.18.0.1/32", 1, syscall.EADDRNOTAVAIL},
		{"bind EADDRNOTAVAIL, IPv6", v6, "2001:db8:9::9/128", "2001:db8::1/128", 1, syscall.EADDRNOTAVAIL},
		{"bind EINVAL, a link-local address without its zone", v6, "fe80::1/128", "2001:db8::1/128", 1, syscall.EINVAL},
		{"connect EINVAL, loopback to another host", v4, "127.0.0.1/32", "198.18.0.1/32", 2, syscall.EINVAL},
		{"connect ENETUNREACH, a prefix that is not local", v4, "192.0.2.8/31", "198.18.0.1/32", 3, syscall.ENETUNREACH},
	} {
		t.Run(test.name, func(t *testing.T) {
			bad := netip.MustParsePrefix(test.bad)
			good := netip.MustParsePrefix(test.good)
			var worst int
			for range 4 { // whichever comes first
				var h hooks
				c, err := (&dialer.Dialer{Sources: []netip.Prefix{bad, good}}).DialContext(h.context(t.Context()), "tcp", test.addr)
				if err != nil {
					t.Fatal(err)
				}
				if got := c.(*dialer.Conn).Source(); got != good.Addr() {
					t.Errorf("got source %v, want %v", got, good)
				}
				c.Close()
				worst = max(worst, len(h.events)/2)
				checkPaired(t, h.events, test.addr, len(h.events)/2)
			}
			if worst > test.attempts {
				t.Errorf("got up to %d attempts, want at most %d", worst, test.attempts)
			}
			_, err := (&dialer.Dialer{Sources: []netip.Prefix{bad}}).Dial("tcp", test.addr)
			var se *dialer.SourceError
			if !errors.Is(err, test.want) || !errors.As(err, &se) || se.Destination.String() != test.addr || len(se.Sources) == 0 {
				t.Errorf("alone: got %v, want a *SourceError to %s with %v", err, test.addr, test.want)
			}
			if advice := "ip route add local " + test.bad; strings.Contains(err.Error(), advice) == bad.IsSingleIP() {
				t.Errorf("alone: got %v, want the advice %q for a prefix alone", err, advice)
			}
			wantNothingCounted(t)
		})
	}
}

func TestHostIsLookedUpOnceHoweverManySourcesFail(t *testing.T) {
	port, inside := inLab(t, nil)
	if !inside {
		return
	}
	names := &nameServer{TB: t, hosts: map[string][]string{"server.test": {netlab.ServerAddr.String()}}}
	d := &dialer.Dialer{
		Resolver: names.resolver(),
		Sources:  prefixes("127.0.0.1/32", "127.0.0.2/32", "127.0.0.3/32", "198.18.0.1/32"),
	}
	for range 4 {
		before := names.lookups.Load()
		c, err := d.Dial("tcp", "server.test:"+port)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		if n := names.lookups.Load() - before; n != 1 {
			t.Errorf("got %d lookups, want 1", n)
		}
	}
	wantNothingCounted(t)
}

func TestAttemptsThatHangEndWithTheDial(t *testing.T) {
	port, inside := inLab(t, nil)
	if !inside {
		return
	}
	const nobody = "198.18.0.99" // nobody answers for it; the kernel gives up after 3 s
	addr := nobody + ":" + port
	// The first source fails at once, and the dial hangs with the second.
	sources := prefixes("127.0.0.1/32", "198.18.0.1/32")
	for name, test := range map[string]struct {
		d    dialer.Dialer
		want error
	}{
		"timeout":  {dialer.Dialer{Timeout: 200 * time.Millisecond}, context.DeadlineExceeded},
		"deadline": {dialer.Dialer{Deadline: time.Now().Add(200 * time.Millisecond)}, context.DeadlineExceeded},
		"cancel":   {dialer.Dialer{}, context.Canceled},
	} {
		test.d.Sources = sources
		ctx, cancel := context.WithCancel(t.Context())
		if test.want == context.Canceled {
			time.AfterFunc(200*time.Millisecond, cancel)
		}
		start := time.Now()
		_, err := test.d.DialContext(ctx, "tcp", addr)
		cancel()
		var ne net.Error
		ended := errors.As(err, &ne) && ne.Timeout() == (test.want == context.DeadlineExceeded)
		if test.want == context.Canceled {
			ended = errors.Is(err, test.want)
		}
		if took := time.Since(start); !ended || took > 2*time.Second {
			t.Errorf("%s: got %v after %v, want %v after 0.2 s", name, err, took, test.want)
		}
		wantNothingCounted(t)
	}
}

func TestDialThatEndsBetweenTwoSources(t *testing.T) {
	port, inside := inLab(t, nil)
	if !inside {
		return
	}
	ctx, cancel := context.WithCancel(t.Context())
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		ConnectDone: func(string, string, error) { cancel() },
	})
	_, err := (&dialer.Dialer{Sources: prefixes("127.0.0.1/32", "127.0.0.2/32")}).DialContext(ctx, "tcp", netlab.ServerAddr.String()+":"+port)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	wantNothingCounted(t)
}

func TestLosersOfTheRaceLeaveNothingBehind(t *testing.T) {
	if _, inside := inLab(t, nil); !inside {
		return
	}
	const races = 200
	l := listen(t, ":0")
	_, port, _ := net.SplitHostPort(l.Addr().String())
	accepted := make(chan int)
	go func() {
		n := 0
		for {
			c, err := l.Accept()
			if err != nil {
				accepted <- n
				return
			}
			n++
			defer c.Close()
		}
	}()
	names := &nameServer{TB: t, hosts: map[string][]string{"both.test": {"::1", "127.0.0.1"}}}
	for _, sources := range [][]netip.Prefix{nil, prefixes("127.0.0.1/32", "::1/128")} {
		d := &dialer.Dialer{FallbackDelay: 1, Resolver: names.resolver(), Sources: sources}
		won := map[bool]int{}
		for range races {
			c, err := d.Dial("tcp", "both.test:"+port)
			if err != nil {
				t.Fatal(err)
			}
			conn := c.(*dialer.Conn)
			local := c.LocalAddr().(*net.TCPAddr).AddrPort().Addr()
			won[local.Is6()]++
			if len(sources) > 0 && conn.Source() != local {
				t.Errorf("got source %v for a connection from %v", conn.Source(), local)
			}
			if got := getsockopt(t, conn, syscall.SOL_SOCKET, syscall.SO_LINGER); got != -1 {
				t.Fatalf("the winner's SO_LINGER: got %d, want it off", got)
			}
			conn.Reset()
		}
		netlab.Await(t, "the losers are no longer counted", func() bool { return dialer.Counted() == 0 })
		t.Logf("with sources %v, IPv6 won %d of %d races", sources, won[true], races)
	}
	l.Close()
	n := <-accepted
	t.Logf("the server accepted %d connections for %d winners", n, 2*races)
	server := l.Addr().(*net.TCPAddr).AddrPort().Port()
	waits := netlab.Count(t, func(s netlab.Socket) bool { return s.Remote.Port() == server && s.State == netlab.TimeWait })
	if waits != 0 {
		t.Errorf("got %d TIME_WAITs on our side, want none: winners were reset, losers must be too", waits)
	}
}

func TestLinkLocalSourceIsInTheZoneOfItsDestination(t *testing.T) {
	if _, inside := inLab(t, nil); !inside {
		return
	}
	ifi, source := linkLocal(t)
	l := listen(t, net.JoinHostPort(source.WithZone(ifi.Name).String(), "0"))
	_, port, _ := net.SplitHostPort(l.Addr().String())
	d := &dialer.Dialer{Sources: []netip.Prefix{netip.PrefixFrom(source, 128)}}
	for _, zone := range []string{ifi.Name, strconv.Itoa(ifi.Index)} {
		c := dial(t, d, net.JoinHostPort(source.WithZone(zone).String(), port))
		if c.Source() != source {
			t.Errorf("in zone %s: got source %v, want %v", zone, c.Source(), source)
		}
	}
}

// linkLocal is the link-local address of eth0, which the kernel makes once the
// other end is up.
func linkLocal(t *testing.T) (ifi *net.Interface, addr netip.Addr) {
	t.Helper()
	netlab.Await(t, "eth0 has a link-local address", func() bool {
		var err error
		if ifi, err = net.InterfaceByName("eth0"); err != nil {
			t.Fatal(err)
		}
		addrs, err := ifi.Addrs()
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range addrs {
			if addr = netip.MustParsePrefix(a.String()).Addr(); addr.IsLinkLocalUnicast() {
				return true
			}
		}
		return false
	})
	return ifi, addr
}

func TestAddressWithoutHostIsThisHost(t *testing.T) {
	_, port, _ := net.SplitHostPort(echo(t, ":0"))
	for network, source := range map[string]string{"tcp": "127.0.0.2", "tcp4": "127.0.0.2", "tcp6": "::1"} {
		a := netip.MustParseAddr(source)
		c, err := (&dialer.Dialer{Sources: []netip.Prefix{netip.PrefixFrom(a, a.BitLen())}}).Dial(network, ":"+port)
		if err != nil {
			t.Errorf("%s: %v", network, err)
			continue
		}
		if got := c.(*dialer.Conn).Source(); got != a {
			t.Errorf("%s: got source %v, want %v", network, got, a)
		}
		c.Close()
	}
	wantNothingCounted(t)
}

func TestLostConnIsNoLongerCounted(t *testing.T) {
	addr := echo(t, "127.0.0.1:0")
	if _, err := (&dialer.Dialer{Sources: prefixes("127.0.0.1/32")}).Dial("tcp", addr); err != nil {
		t.Fatal(err)
	}
	netlab.Await(t, "the connection that nobody closed is no longer counted", func() bool {
		runtime.GC()
		return dialer.Counted() == 0
	})
}

func TestConnectionToItselfIsRepeatedFromTheSameSource(t *testing.T) {
	needPortRange(t)
	if _, inside := inLab(t, nil); !inside {
		return
	}
	// There is one port, which is the destination's, and nobody listens on it:
	// the kernel connects the socket to itself. net does not want that, tries
	// twice more, and then takes it. It must not end for want of a source.
	sockets := 0
	d := &dialer.Dialer{
		Sources:   prefixes("127.0.0.1/32"),
		PortRange: dialer.PortRange{Lo: 50000, Hi: 50000},
		Control:   func(string, string, syscall.RawConn) error { sockets++; return nil },
	}
	// What net throws away leaves no TIME_WAIT on the only port there is, because
	// the context could end.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c, err := d.DialContext(ctx, "tcp", "127.0.0.1:50000")
	if err != nil {
		t.Fatal(err)
	}
	if got := c.(*dialer.Conn).Source().String(); got != "127.0.0.1" || sockets != 3 {
		t.Errorf("got source %s after %d sockets, want 127.0.0.1 after 3", got, sockets)
	}
	c.Close()
	wantNothingCounted(t)
}
