package dialer_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/internal/netlab"
)

// dialUntilError dials until that fails, at most n times.
func dialUntilError(t *testing.T, dial func(network, address string) (net.Conn, error), addr string, n int) (locals map[netip.AddrPort]bool, err error) {
	t.Helper()
	locals = make(map[netip.AddrPort]bool)
	for range n {
		c, err := dial("tcp", addr)
		if err != nil {
			return locals, err
		}
		t.Cleanup(func() { c.Close() })
		locals[c.LocalAddr().(*net.TCPAddr).AddrPort()] = true
	}
	return locals, nil
}

func TestSourcesAreSpreadEvenly(t *testing.T) {
	addr := echo(t, "127.0.0.1:0")
	d := &dialer.Dialer{Sources: prefixes("127.1.0.1/32", "127.1.0.2/32", "127.1.0.3/32")}
	var mu sync.Mutex
	count := map[netip.Addr]int{}
	var conns []net.Conn
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for range 10 {
				c, err := d.Dial("tcp", addr)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				conns = append(conns, c)
				count[c.LocalAddr().(*net.TCPAddr).AddrPort().Addr()]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for _, p := range d.Sources {
		if n := count[p.Addr()]; n != 10 {
			t.Errorf("got %d of 30 connections from %v, want 10", n, p)
		}
	}
	for _, c := range conns {
		c.Close()
	}
	wantNothingCounted(t)
}

func TestEveryPortOfEverySourceIsReached(t *testing.T) {
	needPortRange(t)
	port, inside := inLab(t, func(lab *netlab.Lab) {
		lab.Sysctl(lab.Client, "net/ipv4/ip_local_port_range", "20000 20099")
		lab.AddAddr(lab.Client, netip.MustParsePrefix("198.18.0.11/24"))
		lab.AddAddr(lab.Client, netip.MustParsePrefix("198.18.0.12/24"))
		lab.AddAddr(lab.Server, netip.MustParsePrefix("198.18.0.22/24"))
		lab.AddLocal(lab.Client, netip.MustParsePrefix("2001:db8:7::/64"))
		lab.AddRoute(lab.Server, netip.MustParsePrefix("2001:db8:7::/64"), netlab.ClientAddr6)
		lab.AddLocal(lab.Client, netip.MustParsePrefix("198.18.7.0/24"))
		lab.AddRoute(lab.Server, netip.MustParsePrefix("198.18.7.0/24"), netlab.ClientAddr)
	})
	if !inside {
		return
	}
	const ports = 20
	for _, test := range []struct {
		name    string
		servers []string
		sources []netip.Prefix
		n       int // addresses in sources
	}{
		{"IPv4", []string{"198.18.0.2", "198.18.0.22"}, prefixes("198.18.0.1/32", "198.18.0.11/32", "198.18.0.12/32"), 3},
		{"IPv4 prefix", []string{"198.18.0.2"}, prefixes("198.18.7.0/29"), 6},
		{"IPv6", []string{"2001:db8::2"}, prefixes("2001:db8::1/128"), 1},
		{"IPv6 prefix", []string{"2001:db8::2"}, prefixes("2001:db8:7::/126", "2001:db8:7::8/127"), 6},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := &dialer.Dialer{Sources: test.sources, PortRange: dialer.PortRange{Lo: 20040, Hi: 20040 + ports - 1}}
			for _, server := range test.servers {
				addr := net.JoinHostPort(server, port)
				locals, err := dialUntilError(t, d.Dial, addr, test.n*ports+1)
				if len(locals) != test.n*ports {
					t.Fatalf("to %s: got %d connections until %v, want the %d ports of all %d sources", server, len(locals), err, ports, test.n)
				}
				checkExhausted(t, err, addr, test.n)
			}
		})
	}
	// Now the ports are full for those destinations, and for no other.
	for _, server := range []string{"198.18.0.22", "2001:db8::2"} {
		locals, err := dialUntilError(t, new(net.Dialer).Dial, net.JoinHostPort(server, port), 100)
		if len(locals) < 100-ports {
			t.Errorf("net.Dialer to %s: got %d connections until %v, want %d: a port in use from one source to one destination must stay free for others", server, len(locals), err, 100-ports)
		}
	}
	locals, err := dialUntilError(t, new(net.Dialer).Dial, "127.0.0.1:"+portOf(netip.MustParseAddrPort(echo(t, "127.0.0.1:0"))), 100)
	if len(locals) < 99 { // the server's own port is one of the hundred
		t.Errorf("net.Dialer over loopback: got %d connections until %v, want 99", len(locals), err)
	}
}

func checkExhausted(t *testing.T, err error, addr string, sources int) {
	t.Helper()
	op, ok := err.(*net.OpError)
	if !ok || op.Op != "dial" || op.Net != "tcp" || op.Addr.String() != addr || op.Timeout() {
		t.Errorf("got %#v, want a *net.OpError of dialing tcp %s, no timeout", err, addr)
		return
	}
	var e *dialer.ExhaustedError
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an *ExhaustedError in it", err)
	}
	distinct := slices.Clone(e.Sources)
	slices.SortFunc(distinct, netip.Addr.Compare)
	if n := len(slices.Compact(distinct)); n != sources || len(e.Sources) != sources || e.Destination.String() != addr {
		t.Errorf("got %v to %v, want each of %d sources once, to %s", e.Sources, e.Destination, sources, addr)
	}
	if !errors.Is(err, dialer.ErrPortsExhausted) || !errors.Is(err, syscall.EADDRNOTAVAIL) || !errors.As(err, new(*os.SyscallError)) || !strings.Contains(err.Error(), "no local port is left") {
		t.Errorf("got %v, want EADDRNOTAVAIL of a system call, explained", err)
	}
}

func TestKernelOutOfPortsIsExplained(t *testing.T) {
	port, inside := inLab(t, func(lab *netlab.Lab) {
		lab.Sysctl(lab.Client, "net/ipv4/ip_local_port_range", "20000 20009")
	})
	if !inside {
		return
	}
	addr := netlab.ServerAddr.String() + ":" + port
	locals, err := dialUntilError(t, new(dialer.Dialer).Dial, addr, 11)
	if len(locals) != 10 {
		t.Errorf("got %d connections, want 10", len(locals))
	}
	checkExhausted(t, err, addr, 0)
}

// A connect that finds no port is repeated within net, which calls Control
// again; after the third time the dial goes on with a new run over the same
// address.
func TestFullSourcesArePassedOver(t *testing.T) {
	needPortRange(t)
	if _, inside := inLab(t, nil); !inside {
		return
	}
	addr := echo(t, "127.0.0.1:0")
	ports := dialer.PortRange{Lo: 50000, Hi: 50001}
	full := prefixes("127.1.0.1/32", "127.1.0.2/32", "127.1.0.3/32", "127.1.0.4/32", "127.1.0.5/32", "127.1.0.6/32", "127.1.0.7/32")
	for _, p := range full {
		fill(t, p.Addr(), ports, addr)
	}
	controls := 0
	d := &dialer.Dialer{
		Sources:   slices.Concat(prefixes("192.0.2.9/32"), full, prefixes("127.1.0.8/32")), // the first cannot be bound
		PortRange: ports,
		Control:   func(string, string, syscall.RawConn) error { controls++; return nil },
	}
	for range 4 { // whichever source's turn it is
		var h hooks
		controls = 0
		c, err := d.DialContext(h.context(t.Context()), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.(*dialer.Conn).Source().String(); got != "127.1.0.8" {
			t.Errorf("dialed from %s, want from the only source with ports", got)
		}
		if controls > 8 {
			t.Errorf("got %d sockets, want no source tried twice", controls)
		}
		checkPaired(t, h.events, addr, (controls+2)/3)
		c.(*dialer.Conn).Reset()
		wantNothingCounted(t)
	}
}

// fill uses up the ports of a source for a destination in a way that the
// dialer's counts know nothing of, as another process would.
func fill(t *testing.T, src netip.Addr, r dialer.PortRange, addr string) {
	t.Helper()
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		cerr := c.Control(func(fd uintptr) {
			err = errors.Join(
				unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1),
				unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_LOCAL_PORT_RANGE, int(int32(uint32(r.Lo)|uint32(r.Hi)<<16))),
				unix.Bind(int(fd), &unix.SockaddrInet4{Addr: src.As4()}))
		})
		return errors.Join(cerr, err)
	}}
	n := int(r.Hi-r.Lo) + 1
	if locals, err := dialUntilError(t, d.Dial, addr, n); len(locals) != n {
		t.Fatalf("filling %v: got %d connections until %v, want %d", src, len(locals), err, n)
	}
}

// checkPaired checks that n attempts were traced, and that all but the last
// failed.
func checkPaired(t *testing.T, events []string, addr string, n int) {
	t.Helper()
	var want []string
	for i := range n {
		end := "failed"
		if i == n-1 {
			end = "done"
		}
		want = append(want, "start tcp "+addr, end+" tcp "+addr)
	}
	if !slices.Equal(events, want) {
		t.Errorf("trace: got %q, want %q", events, want)
	}
}
