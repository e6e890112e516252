package dialer_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/internal/netlab"
)

// addr runs ip addr for eth0 of the namespace that the test is in.
func ipAddr(t *testing.T, verb string, p string) {
	t.Helper()
	if out, err := exec.Command("ip", "addr", verb, p, "dev", "eth0").CombinedOutput(); err != nil {
		t.Fatalf("ip addr %s %s: %v: %s", verb, p, err, out)
	}
}

// load dials and resets with as many workers until the test calls stop, and
// counts by source. A dial may take a second at most.
type load struct {
	from   sync.Map // netip.Addr to *atomic.Int64
	failed atomic.Int64
	first  atomic.Pointer[error]
	stop   context.CancelFunc
	done   sync.WaitGroup
}

func startLoad(t *testing.T, d *dialer.Dialer, workers int, addr string) *load {
	l := new(load)
	ctx, stop := context.WithCancel(t.Context())
	l.stop = stop
	t.Cleanup(func() { stop(); l.done.Wait() })
	for range workers {
		l.done.Go(func() {
			for ctx.Err() == nil {
				c, err := d.Dial("tcp", addr)
				if err != nil {
					l.failed.Add(1)
					l.first.CompareAndSwap(nil, &err)
					continue
				}
				n, _ := l.from.LoadOrStore(c.LocalAddr().(*net.TCPAddr).AddrPort().Addr(), new(atomic.Int64))
				n.(*atomic.Int64).Add(1)
				c.(*dialer.Conn).Reset()
			}
		})
	}
	return l
}

func (l *load) dialed(from string) int64 {
	n, ok := l.from.Load(netip.MustParseAddr(from))
	if !ok {
		return 0
	}
	return n.(*atomic.Int64).Load()
}

// more waits until n more dials were made from the address.
func (l *load) more(t *testing.T, from string, n int64) {
	t.Helper()
	start := l.dialed(from)
	netlab.Await(t, fmt.Sprintf("%d more dials from %s", n, from), func() bool { return l.dialed(from) >= start+n })
}

func TestSourceThatIsRemovedMidLoadFailsNoDialAndIsUsedAgainWhenItReturns(t *testing.T) {
	port, inside := inLab(t, func(lab *netlab.Lab) {
		for _, host := range []string{"13", "14"} {
			lab.AddAddr(lab.Client, netip.MustParsePrefix("198.18.0."+host+"/24"))
		}
		// An address that goes takes those with it that came after it in its
		// network, unless they are promoted.
		lab.Sysctl(lab.Client, "net/ipv4/conf/all/promote_secondaries", "1")
	})
	if !inside {
		return
	}
	const removed = "198.18.0.13"
	addr := netlab.ServerAddr.String() + ":" + port
	for name, d := range map[string]*dialer.Dialer{
		"Sources":    {Sources: prefixes("198.18.0.1/32", removed+"/32", "198.18.0.14/32"), Timeout: 5 * time.Second},
		"Interfaces": {Interfaces: []string{"eth0"}, Timeout: 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			l := startLoad(t, d, 8, addr)
			l.more(t, removed, 100)
			for range 5 {
				ipAddr(t, "del", removed+"/24")
				l.more(t, "198.18.0.14", 200)
				ipAddr(t, "add", removed+"/24")
				l.more(t, removed, 100)
			}
			l.stop()
			l.done.Wait()
			t.Logf("dials from 198.18.0.1: %d, from %s: %d, from 198.18.0.14: %d; failed: %d", l.dialed("198.18.0.1"), removed, l.dialed(removed), l.dialed("198.18.0.14"), l.failed.Load())
			if n := l.failed.Load(); n != 0 {
				t.Errorf("got %d failed dials, want none; the first: %v", n, *l.first.Load())
			}
		})
	}
	wantNothingCounted(t)
}

func TestInterfacesAddressesAreSources(t *testing.T) {
	port, inside := inLab(t, nil)
	if !inside {
		return
	}
	d := &dialer.Dialer{Interfaces: []string{"eth0"}}
	for _, server := range []netip.Addr{netlab.ServerAddr, netlab.ServerAddr6} {
		c := dial(t, d, net.JoinHostPort(server.String(), port))
		if got := c.Source(); got != netlab.ClientAddr && got != netlab.ClientAddr6 {
			t.Errorf("to %v: got source %v, want eth0's address", server, got)
		}
	}
	ipAddr(t, "add", "198.18.0.77/24")
	netlab.Await(t, "the new address is dialed from", func() bool {
		c, err := d.Dial("tcp", netlab.ServerAddr.String()+":"+port)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.(*dialer.Conn).Source() == netip.MustParseAddr("198.18.0.77")
	})
	_, err := (&dialer.Dialer{Interfaces: []string{"eth7"}}).Dial("tcp", netlab.ServerAddr.String()+":"+port)
	if err == nil || !strings.Contains(err.Error(), `interface "eth7"`) || !strings.Contains(err.Error(), "Interfaces") {
		t.Errorf("got %v, want an error that names the interface and the field", err)
	}
}

// The list of addresses is a second old at most, which is too old when all of it
// has changed.
func TestInterfaceWhoseOnlyAddressChangesFailsNoDial(t *testing.T) {
	port, inside := inLab(t, nil)
	if !inside {
		return
	}
	d := &dialer.Dialer{Interfaces: []string{"eth0"}, Timeout: 5 * time.Second}
	addr := netlab.ServerAddr.String() + ":" + port
	dialFrom := func() (string, error) {
		c, err := d.Dial("tcp", addr)
		if err != nil {
			return "", err
		}
		defer c.(*dialer.Conn).Reset()
		return c.(*dialer.Conn).Source().String(), nil
	}
	if got, err := dialFrom(); got != "198.18.0.1" || err != nil {
		t.Fatalf("got %q, %v, want a connection from eth0's address", got, err)
	}
	ipAddr(t, "del", "198.18.0.1/24")
	ipAddr(t, "add", "198.18.0.77/24")
	if got, err := dialFrom(); got != "198.18.0.77" || err != nil {
		t.Errorf("got %q, %v, want the very next dial to come from the new address", got, err)
	}
	// Where there is none for a while, dials find that out, and find the next one.
	ipAddr(t, "del", "198.18.0.77/24")
	if got, err := dialFrom(); err == nil {
		t.Errorf("got a connection from %s, want none: eth0 has no address", got)
	}
	ipAddr(t, "add", "198.18.0.78/24")
	netlab.Await(t, "a dial from the third address", func() bool {
		got, _ := dialFrom()
		return got == "198.18.0.78"
	})
	wantNothingCounted(t)
}
