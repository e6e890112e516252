package dialer_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/internal/netlab"
)

func narrowLab(lab *netlab.Lab) {
	lab.Sysctl(lab.Client, "net/ipv4/ip_local_port_range", "20000 20019")
	lab.Sysctl(lab.Client, "net/ipv4/tcp_tw_reuse", "0")
}

// countControls has the dialer count the sockets that it makes.
func countControls(d *dialer.Dialer) *int {
	n := new(int)
	d.Control = func(string, string, syscall.RawConn) error { *n++; return nil }
	return n
}

func TestExhaustedSourcesFailBeforeASocketIsMade(t *testing.T) {
	port, inside := inLab(t, narrowLab)
	if !inside {
		return
	}
	addr := netlab.ServerAddr.String() + ":" + port
	for name, d := range map[string]*dialer.Dialer{
		"with Sources":    {Sources: prefixes("198.18.0.1/32")},
		"without Sources": {},
	} {
		t.Run(name, func(t *testing.T) {
			sockets := countControls(d)
			all := openAll(d.Dial, []string{addr}, 100)
			if len(all) != 20 {
				t.Fatalf("got %d connections, want 20", len(all))
			}
			*sockets = 0
			const dials = 10000
			for range dials {
				_, err := d.Dial("tcp", addr)
				checkExhausted(t, err, addr, len(d.Sources))
			}
			if *sockets > dials/100 {
				t.Errorf("got %d sockets for %d dials, want hardly any: there was no port a moment ago", *sockets, dials)
			}
			// A port that comes free is found at once, not after the pause.
			all[0].(*dialer.Conn).Reset()
			c, err := d.Dial("tcp", addr)
			if err != nil {
				t.Fatalf("after a reset: %v, want the port that came free", err)
			}
			all[0] = c
			// One that goes into TIME_WAIT does not come free.
			all[1].Close()
			_, err = d.Dial("tcp", addr)
			var e *dialer.ExhaustedError
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want an *ExhaustedError", err)
			}
			if want := (dialer.PortRange{Lo: 20000, Hi: 20019}); e.Range != want {
				t.Errorf("got range %v, want %v", e.Range, want)
			}
			if len(d.Sources) > 0 && (e.InUse != 19 || e.TimeWait != 1 || e.Ports != 20) {
				t.Errorf("got %d in use, %d in TIME_WAIT of %d, want 19, 1 of 20", e.InUse, e.TimeWait, e.Ports)
			}
			netlab.Await(t, "the kernel has the TIME_WAIT as well", func() bool {
				return netlab.Count(t, func(s netlab.Socket) bool { return s.State == netlab.TimeWait }) == 1
			})
		})
		break // the next one would find the ports of this one
	}
}

// IPv6 cannot be reached, fails first and would be reported by net.
func TestExhaustedIPv4BehindUnreachableIPv6IsStillExhausted(t *testing.T) {
	port, inside := inLab(t, narrowLab)
	if !inside {
		return
	}
	names := &nameServer{TB: t, hosts: map[string][]string{
		"both.test": {"2001:db8:dead::1", netlab.ServerAddr.String()},
		"v6.test":   {"2001:db8:dead::1"},
	}}
	for name, sources := range map[string][]netip.Prefix{
		"with Sources":      prefixes("198.18.0.1/32", "2001:db8::1/128"),
		"with IPv4 Sources": prefixes("198.18.0.1/32"),
		"without Sources":   nil,
	} {
		d := &dialer.Dialer{Sources: sources, Resolver: names.resolver(), FallbackDelay: time.Millisecond}
		all := openAll(d.Dial, []string{netlab.ServerAddr.String() + ":" + port}, 100)
		for range 3 {
			_, err := d.Dial("tcp", "both.test:"+port)
			var e *dialer.ExhaustedError
			if !errors.Is(err, dialer.ErrPortsExhausted) || !errors.Is(err, syscall.EADDRNOTAVAIL) || !errors.As(err, &e) || e.Destination.Addr() != netlab.ServerAddr {
				t.Errorf("%s: got %v, want IPv4's exhaustion", name, err)
			}
		}
		release(all)
		if _, err := d.Dial("tcp", "v6.test:"+port); err == nil || errors.Is(err, dialer.ErrPortsExhausted) {
			t.Errorf("%s: got %v, want an error of IPv6 that is not %v", name, err, dialer.ErrPortsExhausted)
		}
	}
	wantNothingCounted(t)
}

func TestDialWaitsForAPort(t *testing.T) {
	port, inside := inLab(t, narrowLab)
	if !inside {
		return
	}
	names := &nameServer{TB: t, hosts: map[string][]string{"server.test": {netlab.ServerAddr.String()}}}
	addr := netlab.ServerAddr.String() + ":" + port
	for name, d := range map[string]*dialer.Dialer{
		"with Sources":    {Sources: prefixes("198.18.0.1/32"), WaitForPort: true, Resolver: names.resolver()},
		"without Sources": {WaitForPort: true, Resolver: names.resolver()},
	} {
		for _, to := range []string{addr, "server.test:" + port} {
			t.Run(name+" "+to, func(t *testing.T) {
				all := openAll((&dialer.Dialer{Sources: d.Sources}).Dial, []string{addr}, 100)
				defer func() { release(all) }()
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				_, err := d.DialContext(ctx, "tcp", to)
				cancel()
				var ne net.Error
				if !errors.Is(err, dialer.ErrPortsExhausted) || !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
					t.Errorf("got %v, want %v and a timeout", err, dialer.ErrPortsExhausted)
				}
				ctx, cancel = context.WithCancel(t.Context())
				time.AfterFunc(10*time.Millisecond, cancel)
				if _, err = d.DialContext(ctx, "tcp", to); !errors.Is(err, context.Canceled) {
					t.Errorf("got %v, want %v", err, context.Canceled)
				}
				// Five wait, five ports come free.
				got := make(chan net.Conn)
				for range 5 {
					go func() {
						c, err := d.Dial("tcp", to)
						if err != nil {
							t.Error(err)
						}
						got <- c
					}()
				}
				for i := range 5 {
					all[i].(*dialer.Conn).Reset()
					all[i] = <-got
				}
			})
		}
	}
	wantNothingCounted(t)
}

// The kernel's figures, and those of another process that lives with it, stay
// right: what waits is what the kernel has.
func TestBudgetsAgreeWithTheKernel(t *testing.T) {
	port, inside := inLab(t, func(lab *netlab.Lab) {
		lab.Sysctl(lab.Client, "net/ipv4/ip_local_port_range", "20000 20999")
		lab.Sysctl(lab.Client, "net/ipv4/ip_local_reserved_ports", "20010-20019,20100")
	})
	if !inside {
		return
	}
	dst := netip.AddrPortFrom(netlab.ServerAddr, netip.MustParseAddrPort("0.0.0.0:"+port).Port())
	d := &dialer.Dialer{Sources: prefixes("198.18.0.1/32")}
	var open []net.Conn
	for i := range 300 {
		c, err := d.Dial("tcp", dst.String())
		if err != nil {
			t.Fatal(err)
		}
		switch i % 3 {
		case 0:
			open = append(open, c)
		case 1:
			c.Close()
		case 2:
			c.(*dialer.Conn).Reset()
		}
	}
	budget := func() (b dialer.Budget) {
		for b = range dialer.Budgets() {
			break
		}
		b.ResumesAt = time.Time{}
		return b
	}
	want := dialer.Budget{Source: netlab.ClientAddr, Destination: dst, Open: 100, TimeWait: 100, Size: 989}
	if got := budget(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	n := map[netlab.State]int{}
	netlab.Await(t, "no connection is in a state on the way to TIME_WAIT", func() bool {
		clear(n)
		for _, s := range netlab.Sockets(t) {
			if s.Remote == dst {
				n[s.State]++
			}
		}
		return n[netlab.Established] == 100 && n[netlab.Established]+n[netlab.TimeWait] == total(n)
	})
	// A reset that crosses a FIN spares us the TIME_WAIT: ours is an upper bound.
	if got := n[netlab.TimeWait]; got > 100 || got < 95 {
		t.Errorf("the kernel has %d in TIME_WAIT, want at most the 100 of the budget, and hardly less", got)
	}
	release(open)
	want.Open = 0
	if got := budget(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func total(counts map[netlab.State]int) int {
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return sum
}

func TestOutOfDescriptorsIsTyped(t *testing.T) {
	if os.Getenv("STAYOPEN_FEW_FILES") == "" {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), "STAYOPEN_FEW_FILES=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	addr := sink(t, "127.0.0.1:0")
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 64, Max: 64}); err != nil {
		t.Fatal(err)
	}
	check := func(err error) {
		t.Helper()
		var e *dialer.FilesError
		if !errors.Is(err, dialer.ErrFilesExhausted) || !errors.Is(err, syscall.EMFILE) || !errors.As(err, &e) || e.Limit != 64 {
			t.Errorf("got %v, want a *FilesError with the limit of 64", err)
		}
		if errors.Is(err, dialer.ErrNoSource) {
			t.Errorf("got %v, which is ErrNoSource: want it left open whether there is one", err)
		}
	}
	d := &dialer.Dialer{Sources: prefixes("127.0.0.1/32")}
	all := openAll(d.Dial, []string{addr}, 100)
	defer func() { release(all) }()
	if len(all) == 100 {
		t.Error("got 100 connections with 64 descriptors")
	}
	_, err := d.Dial("tcp", addr)
	check(err)

	// To ask for the addresses of an interface takes a descriptor, too.
	byInterface := &dialer.Dialer{Interfaces: []string{"lo"}}
	_, err = byInterface.Dial("tcp", addr)
	check(err)
	for range 10 {
		all[len(all)-1].Close()
		all = all[:len(all)-1]
	}
	c, err := byInterface.Dial("tcp", addr)
	if err != nil {
		t.Fatalf("with descriptors again: got %v, want a connection at once", err)
	}
	all = append(all, c)
}

// A connect without a source address fails like one without a port.
func TestHostWithoutAnAddressIsNotOutOfPorts(t *testing.T) {
	port, inside := inLab(t, func(lab *netlab.Lab) {
		lab.Sysctl(lab.Client, "net/ipv6/conf/all/disable_ipv6", "1")
	})
	if !inside {
		return
	}
	for _, addr := range []string{"[::1]:9", "[::1]:" + port} {
		for range 3 {
			_, err := new(dialer.Dialer).Dial("tcp", addr)
			_, want := new(net.Dialer).Dial("tcp", addr)
			if err == nil || errors.Is(err, dialer.ErrPortsExhausted) || err.Error() != want.Error() {
				t.Errorf("%s: got %v, want what net says: %v", addr, err, want)
			}
		}
	}
	wantNothingCounted(t)
}
