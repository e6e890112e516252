package hostcheck_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stayopen-go/stayopen/dialer/hostcheck"
	"github.com/stayopen-go/stayopen/internal/netlab"
)

// inLab runs the test in a namespace of its own, which set, if not nil, may
// change first. It reports whether this process is the one in there.
func inLab(t *testing.T, set func(lab *netlab.Lab)) bool {
	t.Helper()
	if netlab.Inside() {
		return true
	}
	lab := netlab.New(t)
	if set != nil {
		set(lab)
	}
	lab.Rerun(t, lab.Client)
	return false
}

// listen listens on the address until the test ends and accepts nothing.
func listen(t testing.TB, address string) *net.TCPListener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.(*net.TCPListener)
}

// pair is a new connection, from both ends.
func pair(t testing.TB, l net.Listener) (client, server *net.TCPConn) {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

// timeWaits leaves n TIME_WAITs on the dialing side.
func timeWaits(t testing.TB, l net.Listener, n int) {
	t.Helper()
	for range n {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		// Read returns when the FIN is here, so this end is the second to close.
		if _, err := s.Read(make([]byte, 1)); err == nil {
			t.Fatal("got data, want EOF")
		}
		s.Close()
	}
}

func take(t testing.TB, f hostcheck.Filter) *hostcheck.Census {
	t.Helper()
	c, err := hostcheck.Take(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func end(l net.Listener) netip.AddrPort { return l.Addr().(*net.TCPAddr).AddrPort() }

func TestEveryStateIsCountedOnItsSide(t *testing.T) {
	if !inLab(t, nil) {
		return
	}
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0", "198.18.0.1:0"} {
		l := listen(t, addr)
		dst := end(l)
		pair(t, l)
		timeWaits(t, l, 3)
		halfClosed, _ := pair(t, l) // FIN_WAIT_2 here, CLOSE_WAIT there
		halfClosed.CloseWrite()
		source := netip.AddrPortFrom(dst.Addr(), 0)
		want := map[hostcheck.Group]int{
			{State: hostcheck.Established, Local: source, Remote: dst}:           1,
			{State: hostcheck.TimeWait, Local: source, Remote: dst}:              3,
			{State: hostcheck.FinWait2, Local: source, Remote: dst}:              1,
			{State: hostcheck.Established, Accepted: true, Local: dst}:           1,
			{State: hostcheck.CloseWait, Accepted: true, Local: dst}:             1,
			{State: hostcheck.Listen, Local: dst}:                                1,
			{State: hostcheck.SynSent, Local: source, Remote: dst}:               0,
			{State: hostcheck.TimeWait, Accepted: true, Local: dst}:              0,
			{State: hostcheck.TimeWait, Local: source, Remote: source}:           0,
			{State: hostcheck.Established, Local: netip.AddrPort{}, Remote: dst}: 0,
		}
		// Acknowledgments take their time.
		netlab.Await(t, "three TIME_WAITs, a FIN_WAIT_2 and a CLOSE_WAIT", func() bool {
			c := take(t, hostcheck.Filter{})
			return c.Counts[hostcheck.Group{State: hostcheck.TimeWait, Local: source, Remote: dst}] == 3 &&
				c.Counts[hostcheck.Group{State: hostcheck.FinWait2, Local: source, Remote: dst}] == 1 &&
				c.Counts[hostcheck.Group{State: hostcheck.CloseWait, Accepted: true, Local: dst}] == 1
		})
		c := take(t, hostcheck.Filter{})
		for group, n := range want {
			if got := c.Counts[group]; got != n {
				t.Errorf("%s: got %d of %+v, want %d", addr, got, group, n)
			}
		}
		if c.From != "sock_diag" || c.Fallback != nil {
			t.Errorf("got a census from %s because of %v, want one from sock_diag", c.From, c.Fallback)
		}
		if got := c.To(dst).Sources; got[dst.Addr()] != (hostcheck.Ports{InUse: 5, TimeWaits: 3}) || len(got) != 1 {
			t.Errorf("%s: got sources %v, want 5 ports of which 3 in TIME_WAIT", addr, got)
		}
	}
}

// netlab reads /proc/net/tcp with a parser of its own.
func TestTheCensusAgreesWithTheKernelsTables(t *testing.T) {
	if !inLab(t, nil) {
		return
	}
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0", "[::]:0"} {
		l := listen(t, addr)
		pair(t, l)
		timeWaits(t, l, 5)
	}
	want := map[netlab.Socket]int{}
	for _, s := range netlab.Sockets(t) {
		want[s]++
	}
	got := map[netlab.Socket]int{}
	for s, err := range hostcheck.Sockets(t.Context(), hostcheck.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		got[netlab.Socket{Local: s.Local, Remote: s.Remote, State: netlab.State(s.State)}]++
	}
	if len(want) < 3*(1+2+5) {
		t.Fatalf("got only %d sockets in /proc/net/tcp: this test is about nothing", len(want))
	}
	for s, n := range want {
		if got[s] != n {
			t.Errorf("got %d of %+v, want %d", got[s], s, n)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %d sockets, want %d", len(got), len(want))
	}
	stat := take(t, hostcheck.Filter{}).Stat
	if stat.TimeWaits != 15 || stat.InUse != 3+2*3 {
		t.Errorf("got %+v, want 15 TIME_WAITs and 9 other sockets", stat)
	}
}

func TestOnlyWhatTheFilterAsksForIsCounted(t *testing.T) {
	if !inLab(t, nil) {
		return
	}
	a, b, six := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.2:0"), listen(t, "[::1]:0")
	timeWaits(t, a, 2)
	timeWaits(t, b, 3)
	timeWaits(t, six, 4)
	pair(t, a)
	mapped, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(mapped)
	if err := unix.Connect(mapped, &unix.SockaddrInet6{Addr: netip.MustParseAddr("127.0.0.2").As16(), Port: int(end(b).Port())}); err != nil {
		t.Fatal(err)
	}
	gone := []hostcheck.State{hostcheck.TimeWait}
	for _, test := range []struct {
		name   string
		filter hostcheck.Filter
		want   int
	}{
		{"a state", hostcheck.Filter{States: gone}, 9},
		{"two states", hostcheck.Filter{States: []hostcheck.State{hostcheck.TimeWait, hostcheck.Listen}}, 12},
		{"a port", hostcheck.Filter{Port: end(a).Port()}, 3},
		{"an address", hostcheck.Filter{Destination: netip.MustParsePrefix("127.0.0.1/32"), States: gone}, 2},
		{"a network, with a connection over IPv4 of an IPv6 socket", hostcheck.Filter{Destination: netip.MustParsePrefix("127.0.0.2/31")}, 3 + 1},
		{"an IPv4 address written as IPv6", hostcheck.Filter{Destination: netip.MustParsePrefix("::ffff:127.0.0.2/128")}, 3 + 1},
		{"an address and a port that do not meet", hostcheck.Filter{Destination: netip.MustParsePrefix("127.0.0.1/32"), Port: end(b).Port()}, 0},
		{"an IPv6 network", hostcheck.Filter{Destination: netip.MustParsePrefix("::/64"), States: gone}, 4},
		{"all of IPv4", hostcheck.Filter{Destination: netip.MustParsePrefix("0.0.0.0/0"), States: gone}, 5},
		{"all of IPv6", hostcheck.Filter{Destination: netip.MustParsePrefix("::/0"), States: gone}, 4},
	} {
		if got := take(t, test.filter).Total(); got != test.want {
			t.Errorf("%s: got %d sockets, want %d", test.name, got, test.want)
		}
	}
}

func TestWhatCannotBeAskedForIsAnError(t *testing.T) {
	for _, f := range []hostcheck.Filter{
		{States: []hostcheck.State{0}},
		{States: []hostcheck.State{hostcheck.Closing + 1}},
		{Destination: netip.MustParsePrefix("::ffff:0:0/90")},
		{Destination: netip.PrefixFrom(netip.MustParseAddr("10.0.0.1"), 33)},
	} {
		if c, err := hostcheck.Take(t.Context(), f); err == nil {
			t.Errorf("%+v: got %+v, want an error", f, c)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := hostcheck.Take(ctx, hostcheck.Filter{}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: got %v, want context.Canceled", err)
	}
}

func TestAnIterationMayEndEarly(t *testing.T) {
	listen(t, "127.0.0.1:0")
	listen(t, "127.0.0.1:0")
	n := 0
	for _, err := range hostcheck.Sockets(t.Context(), hostcheck.Filter{States: []hostcheck.State{hostcheck.Listen}}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		break
	}
	if n != 1 {
		t.Errorf("got %d sockets, want the first", n)
	}
}

// How long it takes is printed: 5 to 7 ms on two idle cores, several times that under
// the race detector and with other tests on the machine.
func TestTwentyThousandTimeWaitsAreCountedWithoutRoot(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 20,000 connections")
	}
	if !inLab(t, func(lab *netlab.Lab) {
		lab.Sysctl(lab.Client, "net/ipv4/ip_local_port_range", "20000 60000")
		lab.Sysctl(lab.Client, "net/ipv4/tcp_tw_reuse", "0")
	}) {
		return
	}
	const n = 20_000
	l := listen(t, "198.18.0.1:0")
	timeWaits(t, l, n)
	dropRoot(t)
	f := hostcheck.Filter{States: []hostcheck.State{hostcheck.TimeWait}, Destination: netip.PrefixFrom(end(l).Addr(), 32), Port: end(l).Port()}
	for _, filter := range []hostcheck.Filter{{}, f} {
		var took []time.Duration
		for range 15 {
			began := time.Now()
			c := take(t, filter)
			took = append(took, time.Since(began))
			if got := c.To(end(l)).Sources[end(l).Addr()].TimeWaits; got != n || c.From != "sock_diag" {
				t.Fatalf("got %d TIME_WAITs from %s, want %d", got, c.From, n)
			}
		}
		slices.Sort(took)
		t.Logf("filter %v: fastest %v, median %v, slowest %v", filter, took[0], took[len(took)/2], took[len(took)-1])
	}
}

// dropRoot makes this process somebody who may do nothing in particular.
func dropRoot(t *testing.T) {
	t.Helper()
	const nobody = 65534
	if err := errors.Join(syscall.Setgroups(nil), syscall.Setresgid(nobody, nobody, nobody), syscall.Setresuid(nobody, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != nobody {
		t.Fatal("still uid " + strconv.Itoa(os.Geteuid()))
	}
}
