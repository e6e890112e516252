package dialer_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/internal/checks/mustrun"
	"github.com/stayopen-go/stayopen/internal/netlab"
)

// needFiles skips the test where the process may not have so many descriptors.
func needFiles(tb testing.TB, n uint64) {
	tb.Helper()
	var now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &now); err != nil || now.Cur < n {
		mustrun.Skipf(tb, "this test needs %d file descriptors and may have %d (%v)", n, now.Cur, err)
	}
}

const (
	capacityPorts = 1000
	bystanders    = "127.0.0.1:30000" // whom the bystander dials
)

// capacityCases have three sources and three destinations each. {port} is that of
// the server beyond the veth.
var capacityCases = []struct {
	name          string
	sources, dsts []string
}{
	{
		"veth, IPv4",
		[]string{"198.18.0.1/32", "198.18.0.13/32", "198.18.0.14/32"},
		[]string{"198.18.0.2:{port}", "198.18.0.23:{port}", "198.18.0.24:{port}"},
	}, {
		"veth, IPv6",
		[]string{"2001:db8::1/128", "2001:db8::13/128", "2001:db8::14/128"},
		[]string{"[2001:db8::2]:{port}", "[2001:db8::23]:{port}", "[2001:db8::24]:{port}"},
	}, {
		"loopback, IPv4",
		[]string{"127.0.1.1/32", "127.0.1.2/32", "127.0.1.3/32"},
		[]string{"127.0.0.1:30001", "127.0.0.1:30002", "127.0.0.1:30003"},
	}, {
		"loopback, IPv6",
		[]string{"2001:db8::1/128", "2001:db8::13/128", "2001:db8::14/128"},
		[]string{"[::1]:30001", "[::1]:30002", "[::1]:30003"},
	},
}

func TestEverySourceHasEveryPortForEveryDestination(t *testing.T) {
	needPortRange(t)
	needFiles(t, 12000)
	if os.Getenv("ROLE") == "loopback" {
		for _, test := range capacityCases[2:] {
			for _, addr := range test.dsts {
				sink(t, addr)
			}
		}
		sink(t, bystanders)
		netlab.Hold("")
		return
	}
	port, inside := inLabWith(t, sink, func(lab *netlab.Lab) {
		lab.Sysctl(lab.Client, "net/ipv4/ip_local_port_range", fmt.Sprint(20000, 20000+capacityPorts-1))
		for _, host := range []string{"13", "14"} {
			lab.AddAddr(lab.Client, netip.MustParsePrefix("198.18.0."+host+"/24"))
			lab.AddAddr(lab.Client, netip.MustParsePrefix("2001:db8::"+host+"/64"))
		}
		for _, host := range []string{"23", "24"} {
			lab.AddAddr(lab.Server, netip.MustParsePrefix("198.18.0."+host+"/24"))
			lab.AddAddr(lab.Server, netip.MustParsePrefix("2001:db8::"+host+"/64"))
		}
		lab.Start(t, lab.Client, "ROLE=loopback")
	})
	if !inside {
		return
	}
	for _, test := range capacityCases {
		t.Run(test.name, func(t *testing.T) {
			dsts := withPort(test.dsts, port)
			most := capacityPorts * len(test.sources)
			ours := openAll((&dialer.Dialer{Sources: prefixes(test.sources...)}).Dial, dsts, most)
			checkBudgets(t, capacityPorts, len(test.sources)*len(dsts))
			others := openAll(new(net.Dialer).Dial, []string{bystanders}, capacityPorts)
			release(ours)
			release(others)
			theirs := openAll(rotating(test.sources), dsts, most)
			release(theirs)
			t.Logf("%d ports, %d sources, %d destinations: dialer.Dialer holds %d connections, net.Dialer with LocalAddr %d; a bystander got %d",
				capacityPorts, len(test.sources), len(dsts), len(ours), len(theirs), len(others))
			if want := most * len(dsts); len(ours) < want*99/100 {
				t.Errorf("got %d connections, want 99 %% of %d", len(ours), want)
			}
			if len(others) < capacityPorts*99/100 {
				t.Errorf("who lets the kernel choose got %d connections to another destination, want %d: ports in use must stay free for others", len(others), capacityPorts)
			}
			if len(theirs) > most {
				t.Errorf("net.Dialer with LocalAddr holds %d connections, want at most %d: what is this test comparing with?", len(theirs), most)
			}
		})
	}
	wantNothingCounted(t)
}

func withPort(addrs []string, port string) []string {
	var all []string
	for _, a := range addrs {
		all = append(all, strings.Replace(a, "{port}", port, 1))
	}
	return all
}

func TestConnKnowsTheBudgetThatItsPortIsIn(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	// Two ranges of one source: the tighter one counts for whose port is in it.
	few := dialer.PortRange{Lo: 40000, Hi: 40099}
	other, _ := pair(t, &dialer.Dialer{Sources: prefixes("127.0.0.7/32"), PortRange: dialer.PortRange{Lo: 50000, Hi: 59999}}, l)
	defer other.Close()
	narrow, _ := pair(t, &dialer.Dialer{Sources: prefixes("127.0.0.7/32"), PortRange: few}, l)
	defer narrow.Close()
	wide, _ := pair(t, &dialer.Dialer{Sources: prefixes("127.0.0.8/32")}, l)
	plain, _ := pair(t, new(dialer.Dialer), l)
	defer plain.Close()
	if got, ok := plain.Budget(); ok {
		t.Errorf("without Sources: got %+v, want none", got)
	}
	for c, want := range map[*dialer.Conn]dialer.Budget{
		narrow: {Open: 1, Size: 100},
		other:  {Open: 1, Size: 10000},
	} {
		want.Source, want.Destination = c.Source(), c.RemoteAddr().(*net.TCPAddr).AddrPort()
		got, ok := c.Budget()
		if !ok || got != want {
			t.Errorf("got %+v, %v, want %+v", got, ok, want)
		}
	}
	wide.Close()
	if got, ok := wide.Budget(); !ok || got.Open != 0 || got.TimeWait != 1 {
		t.Errorf("after Close: got %+v, %v, want none open and one in TIME_WAIT", got, ok)
	}
}

// checkBudgets checks that n budgets are full, and say so.
func checkBudgets(t *testing.T, size, n int) {
	t.Helper()
	full := 0
	for b := range dialer.Budgets() {
		if b.Open >= size*99/100 && b.Size == size && b.TimeWait == 0 && b.Used() > 0.98 && b.Room() <= size/100 {
			full++
		}
	}
	if full != n {
		t.Errorf("got %d full budgets, want %d: %v", full, n, slices.Collect(dialer.Budgets()))
	}
}

// openAll opens up to each connections to each destination at once.
func openAll(dial func(network, address string) (net.Conn, error), dsts []string, each int) []net.Conn {
	var all []net.Conn
	for _, dst := range dsts {
		for range each {
			c, err := dial("tcp", dst)
			if err != nil {
				break
			}
			all = append(all, c)
		}
	}
	return all
}

// rotating dials from one LocalAddr after the other, as is often advised.
func rotating(sources []string) func(network, address string) (net.Conn, error) {
	next := 0
	return func(network, address string) (c net.Conn, err error) {
		for range sources {
			addr, _, _ := strings.Cut(sources[next%len(sources)], "/")
			next++
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}}
			if c, err = d.Dial(network, address); err == nil {
				return c, nil
			}
		}
		return nil, err
	}
}
