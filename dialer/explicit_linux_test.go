package dialer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/internal/netlab"
)

// With 20 ports and tcp_tw_reuse off, 21 closes are the end of it for who lets
// the kernel choose. Explicit ports go on.
func TestExplicitPortsTakeOverTheirOwnTimeWaits(t *testing.T) {
	port, inside := inLab(t, narrowLab)
	if !inside {
		return
	}
	for _, test := range []struct{ server, source string }{
		{netlab.ServerAddr.String(), "198.18.0.1/32"},
		{netlab.ServerAddr6.String(), "2001:db8::1/128"},
	} {
		addr := net.JoinHostPort(test.server, port)
		d := &dialer.Dialer{Sources: prefixes(test.source), ExplicitPorts: dialer.PortRange{Lo: 10000, Hi: 10019}}
		var used []int
		for i := range 200 {
			c, err := d.Dial("tcp", addr)
			if err != nil {
				t.Fatalf("dial %d: %v", i, err)
			}
			if _, err := c.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
				t.Fatalf("dial %d: %v", i, err)
			}
			used = append(used, c.LocalAddr().(*net.TCPAddr).Port)
			c.Close()
		}
		// The oldest port first: they come round in the same order.
		for i, p := range used[20:] {
			if p != used[i] || p < 10000 || p > 10019 {
				t.Errorf("dial %d: got port %d, want %d, whose use ended longest ago", i+20, p, used[i])
			}
		}
		closed := openAll(new(net.Dialer).Dial, []string{addr}, 100)
		if len(closed) != 20 {
			t.Errorf("who lets the kernel choose got %d connections, want 20: explicit ports must take none from it", len(closed))
		}
		for _, c := range closed {
			c.Close()
		}
		// Where both ends close at once a TIME_WAIT may be spared.
		again := openAll(new(net.Dialer).Dial, []string{addr}, 20)
		if len(again) > 5 {
			t.Errorf("net.Dialer after 20 closes: got %d connections of 20, want hardly any: what is this test comparing with?", len(again))
		}
		release(again)
	}
}

func TestExplicitPortsInUseArePassedOver(t *testing.T) {
	port, inside := inLab(t, narrowLab)
	if !inside {
		return
	}
	addr := netlab.ServerAddr.String() + ":" + port
	r := dialer.PortRange{Lo: 10000, Hi: 10009}
	// Another process has five of them: bound only, or connected to the same
	// destination.
	for p := 10000; p < 10005; p++ {
		nd := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("198.18.0.1"), Port: p}}
		if p%2 == 0 {
			nd.Control = func(_, _ string, c syscall.RawConn) (err error) {
				cerr := c.Control(func(fd uintptr) {
					err = errors.Join(unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
				})
				return errors.Join(cerr, err)
			}
		}
		c, err := nd.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	d := &dialer.Dialer{Sources: prefixes("198.18.0.1/32"), ExplicitPorts: r}
	all := openAll(d.Dial, []string{addr}, 20)
	if len(all) != 5 {
		t.Fatalf("got %d connections, want the 5 ports that nobody else uses", len(all))
	}
	_, err := d.Dial("tcp", addr)
	var e *dialer.ExhaustedError
	if !errors.As(err, &e) || e.InUse != 5 || e.Ports != 10 || e.Range != r {
		t.Errorf("got %v, want an *ExhaustedError with 5 of 10 ports in use by this process", err)
	}
	// It can be taken over from its TIME_WAIT on.
	all[2].Close()
	netlab.Await(t, "the closed connection is in TIME_WAIT", func() bool {
		return netlab.Count(t, func(s netlab.Socket) bool { return s.State == netlab.TimeWait }) == 1
	})
	c, err := d.Dial("tcp", addr)
	if err != nil || c.LocalAddr().String() != all[2].LocalAddr().String() {
		t.Fatalf("got %v, want the port that came free", err)
	}
	c.Close()
	release(all)
}

func TestExplicitPortsAreRefusedWhereTheyWouldDoHarm(t *testing.T) {
	_, inside := inLab(t, narrowLab)
	if !inside {
		return
	}
	explicit := func(lo, hi uint16) dialer.Dialer {
		return dialer.Dialer{Sources: prefixes("198.18.0.1/32"), ExplicitPorts: dialer.PortRange{Lo: lo, Hi: hi}}
	}
	both := explicit(10000, 10009)
	both.PortRange = dialer.PortRange{Lo: 20000, Hi: 20001}
	alone := explicit(10000, 10009)
	alone.Sources = nil
	for _, test := range []struct {
		d    dialer.Dialer
		want string
	}{
		{explicit(10000, 10009), ""},
		{explicit(19000, 20000), "19000-20000 overlaps 20000-20019"},
		{explicit(20019, 30000), "ip_local_port_range"},
		{explicit(20005, 20006), "overlaps"},
		{explicit(2, 1), "Lo no greater than Hi"},
		{both, "together with PortRange"},
		{alone, "Sources or Interfaces"},
	} {
		err := test.d.Validate()
		if (err == nil) != (test.want == "") || err != nil && (!strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "Dialer.ExplicitPorts")) {
			t.Errorf("%v: got %v, want %q", test.d.ExplicitPorts, err, test.want)
		}
	}
}

// A part of the range could be bound, so that only some dials would fail.
func TestExplicitPortsThatNeedPrivilegesAreRefusedWithoutThem(t *testing.T) {
	port, inside := inLab(t, func(lab *netlab.Lab) {
		narrowLab(lab)
		lab.Sysctl(lab.Client, "net.ipv4.ip_unprivileged_port_start", "10005")
	})
	if !inside {
		return
	}
	low := &dialer.Dialer{Sources: prefixes("198.18.0.1/32"), ExplicitPorts: dialer.PortRange{Lo: 10000, Hi: 10009}}
	high := &dialer.Dialer{Sources: low.Sources, ExplicitPorts: dialer.PortRange{Lo: 10005, Hi: 10009}}
	addr := netlab.ServerAddr.String() + ":" + port
	for range 5 { // root may
		c, err := low.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c.(*dialer.Conn).Reset()
	}
	withoutCapability(t, unix.CAP_NET_BIND_SERVICE, func() {
		err := low.Validate()
		if err == nil || !strings.Contains(err.Error(), "Dialer.ExplicitPorts: 10000-10009 begins below 10005") || !strings.Contains(err.Error(), "CAP_NET_BIND_SERVICE") {
			t.Errorf("got %v, want an error that says what may be bound", err)
		}
		c, err := high.Dial("tcp", addr)
		if err != nil {
			t.Fatalf("from %v: got %v, want a connection", high.ExplicitPorts, err)
		}
		c.(*dialer.Conn).Reset()
	})
	if err := low.Validate(); err != nil {
		t.Errorf("with the capability again: got %v", err)
	}
}

// withoutCapability takes a capability from the thread while f runs.
func withoutCapability(t *testing.T, number uint, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var with [2]unix.CapUserData
	if err := unix.Capget(&header, &with[0]); err != nil {
		t.Fatal(err)
	}
	without := with
	without[0].Effective &^= 1 << number
	if err := unix.Capset(&header, &without[0]); err != nil {
		t.Fatal(err)
	}
	defer unix.Capset(&header, &with[0])
	f()
}

// The peer closes first: then it has the TIME_WAIT, and takes the next connection
// from the same port because its timestamp is newer.
func TestExplicitPortsComeAgainWhenThePeerClosedFirst(t *testing.T) {
	if !netlab.Inside() {
		lab := netlab.New(t)
		narrowLab(lab)
		lab.Rerun(t, lab.Client)
		return
	}
	addr := serve(t, "127.0.0.1:0", func(c net.Conn) { fmt.Fprint(c, "bye") })
	d := &dialer.Dialer{Sources: prefixes("127.0.1.1/32"), ExplicitPorts: dialer.PortRange{Lo: 10000, Hi: 10004}}
	for i := range 50 {
		c, err := d.Dial("tcp", addr)
		if err != nil {
			t.Fatalf("dial %d: %v", i, err)
		}
		if got, err := io.ReadAll(c); string(got) != "bye" || err != nil {
			t.Fatalf("dial %d: got %q, %v", i, got, err)
		}
		c.Close()
	}
	_, server, _ := net.SplitHostPort(addr)
	number, _ := strconv.Atoi(server)
	ours := netlab.Count(t, func(s netlab.Socket) bool { return s.State == netlab.TimeWait && int(s.Remote.Port()) == number })
	if ours != 0 {
		t.Errorf("got %d TIME_WAITs on our side, want none: the peer closed first", ours)
	}
}

// Where the source is the destination's own address, one of the ports connects
// the socket to itself, which net does not want. The refusal of the others is what
// the dial ends with.
func TestNobodyListeningOnOwnAddressIsARefusal(t *testing.T) {
	needPortRange(t)
	if _, inside := inLab(t, narrowLab); !inside {
		return
	}
	for name, d := range map[string]*dialer.Dialer{
		"ExplicitPorts": {Sources: prefixes("127.0.0.1/32"), ExplicitPorts: dialer.PortRange{Lo: 10000, Hi: 10002}},
		"PortRange":     {Sources: prefixes("127.0.0.2/32"), PortRange: dialer.PortRange{Lo: 20000, Hi: 20001}},
	} {
		lo, hi := max(d.ExplicitPorts.Lo, d.PortRange.Lo), max(d.ExplicitPorts.Hi, d.PortRange.Hi)
		for port := lo; port <= hi; port++ {
			addr := net.JoinHostPort(d.Sources[0].Addr().String(), strconv.Itoa(int(port)))
			for range 6 {
				// What net throws away leaves no TIME_WAIT, because the context could end.
				ctx, cancel := context.WithCancel(t.Context())
				c, err := d.DialContext(ctx, "tcp", addr)
				cancel()
				switch {
				case err == nil && name == "PortRange": // the kernel chose that port three times
					c.(*dialer.Conn).Reset()
				case !errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, dialer.ErrPortsExhausted):
					t.Errorf("%s: to %s: got %v, want the refusal alone", name, addr, err)
				}
			}
		}
	}
	wantNothingCounted(t)
}
