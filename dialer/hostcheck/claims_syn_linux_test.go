package hostcheck_test

import (
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/stayopen-go/stayopen/dialer/hostcheck"
	"github.com/stayopen-go/stayopen/internal/netlab"
)

// clients is how many handshakes are begun and not finished.
const clients = 50

// The clients' address is behind a neighbor that does not exist, so they never
// hear of the server.
func TestMaxSynBacklogLimitsOnlyWithoutSyncookies(t *testing.T) {
	if os.Getenv("ROLE") == "clients" {
		beginHandshakes(t)
		return
	}
	if !netlab.Inside() {
		lab := netlab.New(t)
		lab.AddAddr(lab.Client, netip.MustParsePrefix("198.18.9.1/32"))
		lab.AddRoute(lab.Server, netip.MustParsePrefix("198.18.9.1/32"), netip.MustParseAddr("198.18.0.99"))
		if out, err := exec.Command("ip", "-n", lab.Server, "neigh", "add", "198.18.0.99", "lladdr", "02:00:00:00:00:99", "dev", "eth0", "nud", "permanent").CombinedOutput(); err != nil {
			t.Fatalf("ip neigh add: %v: %s", err, out)
		}
		lab.Sysctl(lab.Server, "net.ipv4.tcp_max_syn_backlog", "8")
		lab.Start(t, lab.Client, "ROLE=clients")
		lab.Rerun(t, lab.Server)
		return
	}
	for _, test := range []struct {
		syncookies, port string
		most             int
		says             string
	}{
		{"1", "8080", clients, "Nothing while tcp_syncookies is on"},
		{"0", "8081", 7, "three quarters of 8"}, // the last comes in when there are six
	} {
		sysctl(t, "net.ipv4.tcp_syncookies", test.syncookies)
		if f := find(t, hostcheck.Check(read(t), nil), "syn-backlog"); !strings.Contains(f.Effect, test.says) {
			t.Errorf("tcp_syncookies=%s: got %+v, want one that says %q", test.syncookies, f, test.says)
		}
		dropped := listenDrops(t)
		l := listen(t, "198.18.0.2:"+test.port)
		// Every client that is not let in is dropped at least once.
		netlab.Await(t, "all clients let in or dropped", func() bool {
			return handshakes(t, l)+listenDrops(t)-dropped >= clients
		})
		if n := handshakes(t, l); n != test.most {
			t.Errorf("tcp_syncookies=%s: got %d handshakes under way, want %d of %d", test.syncookies, n, test.most, clients)
		}
	}
}

func handshakes(t *testing.T, l net.Listener) int {
	return take(t, hostcheck.Filter{States: []hostcheck.State{hostcheck.SynRecv}}).
		Counts[hostcheck.Group{State: hostcheck.SynRecv, Accepted: true, Local: end(l)}]
}

// listenDrops is the kernel's count of what listeners have turned away.
func listenDrops(t *testing.T) int {
	t.Helper()
	out, err := exec.Command("sh", "-c", `awk '/^TcpExt:/ { for (i = 1; i <= NF; i++) if (names) { if (name[i] == "ListenDrops") print $i } else name[i] = $i; names = 1 }' /proc/net/netstat`).Output()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, c := range strings.TrimSpace(string(out)) {
		n = n*10 + int(c-'0')
	}
	return n
}

// beginHandshakes connects, again and again as the kernel does, to two ports that
// nothing listens on yet. Refusals do not arrive either.
func beginHandshakes(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(198, 18, 9, 1)}}
	for _, server := range []string{"198.18.0.2:8080", "198.18.0.2:8081"} {
		for range clients {
			wg.Go(func() {
				if c, err := d.DialContext(ctx, "tcp", server); err == nil {
					c.Close()
					t.Errorf("got a connection to %s, want none", server)
				}
			})
		}
	}
	netlab.Hold("")
	cancel()
	wg.Wait()
}
