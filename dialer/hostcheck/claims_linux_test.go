package hostcheck_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stayopen-go/stayopen/dialer/hostcheck"
	"github.com/stayopen-go/stayopen/internal/checks/mustrun"
	"github.com/stayopen-go/stayopen/internal/netlab"
)

// The tests here have the kernel do what the findings say that it does.

// sysctl sets a parameter of the namespace that this process is in.
func sysctl(t *testing.T, key, value string) {
	t.Helper()
	if !netlab.Inside() {
		t.Fatal("BUG: this would change the machine's own settings")
	}
	err := os.WriteFile("/proc/sys/"+strings.ReplaceAll(key, ".", "/"), []byte(value), 0)
	if errors.Is(err, os.ErrNotExist) {
		mustrun.Skipf(t, "this kernel has no %s", key)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// expiry is when the only socket in the state to the destination is dropped.
func expiry(t *testing.T, s hostcheck.State, dst netip.AddrPort) (left time.Duration, ok bool) {
	t.Helper()
	f := hostcheck.Filter{States: []hostcheck.State{s}, Destination: netip.PrefixFrom(dst.Addr(), dst.Addr().BitLen()), Port: dst.Port()}
	for socket, err := range hostcheck.Sockets(t.Context(), f) {
		if err != nil {
			t.Fatal(err)
		}
		return socket.Expires, true
	}
	return 0, false
}

func TestFinTimeoutIsTheTimeInFinWait2AndNotInTimeWait(t *testing.T) {
	if !inLab(t, func(lab *netlab.Lab) { lab.Sysctl(lab.Client, "net.ipv4.tcp_fin_timeout", "5") }) {
		return
	}
	l := listen(t, "198.18.0.1:0")
	timeWaits(t, l, 1)
	left, _ := expiry(t, hostcheck.TimeWait, end(l))
	if left < 50*time.Second || left > 61*time.Second {
		t.Errorf("TIME_WAIT: got %v to go with tcp_fin_timeout=5, want about 60 s", left)
	}
	c, _ := pair(t, l)
	c.Close()
	netlab.Await(t, "a connection in FIN_WAIT_2 that nobody has", func() bool {
		left, ok := expiry(t, hostcheck.FinWait2, end(l))
		return ok && left > 0
	})
	if left, _ := expiry(t, hostcheck.FinWait2, end(l)); left > 5100*time.Millisecond {
		t.Errorf("FIN_WAIT_2: got %v to go with tcp_fin_timeout=5, want at most 5 s", left)
	}
}

func TestBeyondMaxTwBucketsThereIsNoTimeWait(t *testing.T) {
	if !inLab(t, func(lab *netlab.Lab) { lab.Sysctl(lab.Client, "net.ipv4.tcp_max_tw_buckets", "10") }) {
		return
	}
	l := listen(t, "198.18.0.1:0")
	timeWaits(t, l, 30)
	c := take(t, hostcheck.Filter{})
	if got := c.Total(hostcheck.TimeWait); got != 10 || c.Stat.TimeWaitOverflows != 20 {
		t.Errorf("after 30 closes: got %d TIME_WAITs and %d closes without, want 10 and 20", got, c.Stat.TimeWaitOverflows)
	}
	f := find(t, hostcheck.Check(read(t), c), "tw-buckets")
	if f.Severity != hostcheck.Error || !strings.Contains(f.Effect, "happened to 20") {
		t.Errorf("got %+v, want an error that counts 20", f)
	}
}

// A small host boots with few buckets, which no recipe has set.
func TestMaxTwBucketsOfTheKernelsOwnChoiceAreNoRecipe(t *testing.T) {
	if !inLab(t, func(*netlab.Lab) {}) {
		return
	}
	for _, test := range []struct {
		set      string
		lost     int
		severity hostcheck.Severity
		recipe   bool
		change   string
	}{
		{"16384", 0, hostcheck.Note, false, "at least 100000"},
		{"16384", 1, hostcheck.Warning, false, "at least 100000"},
		{"5000", 0, hostcheck.Warning, true, "at least 100000"},
		{"131072", 0, hostcheck.Good, false, "nothing"},
		{"131072", 1, hostcheck.Warning, false, "if the number still grows"},
	} {
		sysctl(t, "net.ipv4.tcp_max_tw_buckets", test.set)
		f := find(t, hostcheck.Check(read(t), &hostcheck.Census{Stat: hostcheck.Stat{TimeWaitOverflows: test.lost}}), "tw-buckets")
		if f.Severity != test.severity || (f.Recipe != "") != test.recipe || !strings.Contains(f.Change, test.change) {
			t.Errorf("%+v: got %+v", test, f)
		}
	}
}

func TestTimeWaitsAreTakenOverWhereTwReuseSaysSo(t *testing.T) {
	if !inLab(t, func(lab *netlab.Lab) {
		lab.Sysctl(lab.Client, "net.ipv4.ip_local_port_range", "20000 20001")
	}) {
		return
	}
	sysctl(t, "net.ipv4.tcp_tw_reuse_delay", "100")
	for i, test := range []struct {
		reuse, timestamps, address string
		want                       bool
	}{
		{"0", "1", "127.0.0.1", false},
		{"2", "1", "127.0.0.1", true},
		{"2", "1", "::1", true},
		{"2", "1", "198.18.0.1", false},
		{"2", "1", "2001:db8::1", false},
		{"1", "1", "198.18.0.1", true},
		{"1", "1", "2001:db8::1", true},
		{"1", "0", "198.18.0.1", false},
	} {
		sysctl(t, "net.ipv4.tcp_tw_reuse", test.reuse)
		sysctl(t, "net.ipv4.tcp_timestamps", test.timestamps)
		l := listen(t, net.JoinHostPort(test.address, []string{"3000", "3001", "3002", "3003", "3004", "3005", "3006", "3007"}[i]))
		timeWaits(t, l, 2)
		netlab.Await(t, "TIME_WAITs older than tcp_tw_reuse_delay", func() bool {
			left, ok := expiry(t, hostcheck.TimeWait, end(l))
			return ok && left < 59_800*time.Millisecond
		})
		c, err := net.Dial("tcp", l.Addr().String())
		if err == nil {
			c.Close()
		}
		if (err == nil) != test.want || err != nil && !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Errorf("%+v: got %v of a dial to where both ports are in TIME_WAIT, want success: %v", test, err, test.want)
		}
	}
}

// Whether the last port is found depends on where the search begins: of 200
// times, 11 ports were filled to the last 180 times, and 10 always.
func TestInARangeOfOddSizeASearchLeavesOnePortOut(t *testing.T) {
	if !inLab(t, nil) {
		return
	}
	l := listen(t, "198.18.0.1:3000")
	sysctl(t, "net.ipv4.ip_local_port_range", "20000 20010")
	if f := find(t, hostcheck.Check(read(t), nil), "port-range-parity"); f.Severity != hostcheck.Note {
		t.Errorf("got %+v, want a note", f)
	}
	seen := map[int]int{}
	netlab.Await(t, "a search of 11 ports that misses one", func() bool {
		n := fillPorts(t, end(l), false)
		seen[n]++
		return n == 10
	})
	if len(seen) > 2 || seen[10]+seen[11] == 0 {
		t.Errorf("20000 to 20010: got as many connections, so many times: %v, want 10 or 11", seen)
	}
	for range 50 {
		if n := fillPorts(t, end(l), true); n != 11 && hasPortRange(t) {
			t.Fatalf("20000 to 20010 with IP_LOCAL_PORT_RANGE: got %d connections, want 11", n)
		}
	}
	sysctl(t, "net.ipv4.ip_local_port_range", "20000 20009")
	for range 50 {
		if n := fillPorts(t, end(l), false); n != 10 {
			t.Fatalf("20000 to 20009: got %d connections, want 10", n)
		}
	}
}

// fillPorts connects until the kernel refuses, asking it once each time, where
// net would ask three times, and returns how often it could.
func fillPorts(t *testing.T, dst netip.AddrPort, option bool) int {
	t.Helper()
	for n := 0; ; n++ {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if option {
			unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_LOCAL_PORT_RANGE, -1<<16|1)
		}
		// By RST, so that no TIME_WAIT is left.
		if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
			t.Fatal(err)
		}
		err = unix.Connect(fd, &unix.SockaddrInet4{Addr: dst.Addr().As4(), Port: int(dst.Port())})
		if errors.Is(err, unix.EADDRNOTAVAIL) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// hasPortRange reports whether the kernel has the option.
func hasPortRange(t *testing.T) bool {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_LOCAL_PORT_RANGE, 0) == nil
}

func TestAConnectionTakesThePortOfAServiceThatIsDown(t *testing.T) {
	if !inLab(t, func(lab *netlab.Lab) {
		lab.Sysctl(lab.Client, "net.ipv4.ip_local_port_range", "20000 20000")
	}) {
		return
	}
	peer := listen(t, "198.18.0.1:3000")
	service := listen(t, ":20000")
	if c, err := net.Dial("tcp", peer.Addr().String()); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("while the service is up: got %v, %v, want that its port is not taken", c, err)
	}
	s := read(t)
	if f := find(t, hostcheck.Check(s, take(t, hostcheck.Filter{})), "port-range-services"); f.Severity != hostcheck.Error || !strings.Contains(f.Change, "ip_local_reserved_ports = 20000") {
		t.Errorf("got %+v, want an error that says to reserve 20000", f)
	}
	service.Close()
	c, _ := pair(t, peer)
	if got := c.LocalAddr().(*net.TCPAddr).Port; got != 20000 {
		t.Fatalf("got local port %d, want that of the service", got)
	}
	cannotListen(t, "while the connection is there")
	c.CloseWrite()
	c.SetLinger(0)
	c.Close() // by RST, for now
	netlab.Await(t, "no connection", func() bool { return take(t, hostcheck.Filter{Port: 3000}).Total() == 0 })
	second := listen(t, "198.18.0.1:3001")
	timeWaits(t, second, 1)
	cannotListen(t, "while its TIME_WAIT is there")

	sysctl(t, "net.ipv4.ip_local_reserved_ports", "20000")
	if c, err := net.Dial("tcp", peer.Addr().String()); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("with the port reserved: got %v, %v, want that no connection takes it", c, err)
	}
	for _, f := range hostcheck.Check(read(t), &hostcheck.Census{Listeners: []hostcheck.Socket{{Local: netip.MustParseAddrPort("[::]:20000")}}}) {
		if f.ID == "port-range-services" && f.Severity == hostcheck.Error {
			t.Errorf("with the port reserved: got %+v, want no error", f)
		}
	}
}

func cannotListen(t *testing.T, when string) {
	t.Helper()
	if l, err := net.Listen("tcp", ":20000"); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("%s: got %v, %v, want that the service cannot start", when, l, err)
	}
}

func TestAListenerKeepsTheBacklogItBeganWith(t *testing.T) {
	if !inLab(t, func(lab *netlab.Lab) { lab.Sysctl(lab.Client, "net.core.somaxconn", "4") }) {
		return
	}
	l := listen(t, "127.0.0.1:0") // Go asks for what somaxconn says
	sysctl(t, "net.core.somaxconn", "4096")
	for range 5 { // one more than the backlog is let in
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
	netlab.Await(t, "a full queue", func() bool { return take(t, hostcheck.Filter{}).Listeners[0].Queue == 5 })
	d := net.Dialer{Timeout: 100 * time.Millisecond}
	if c, err := d.Dial("tcp", l.Addr().String()); err == nil {
		t.Errorf("got %v, want that a sixth connection is not answered", c)
	}
	c := take(t, hostcheck.Filter{})
	if c.Listeners[0].Backlog != 4 || c.Stat.ListenOverflows == 0 {
		t.Errorf("got %+v and %+v, want a backlog of 4 and overflows", c.Listeners[0], c.Stat)
	}
	found := hostcheck.Check(read(t), c)
	if f := find(t, found, "somaxconn"); f.Severity != hostcheck.Note || !strings.Contains(f.Effect, l.Addr().String()+" (4)") {
		t.Errorf("got %+v, want a note that names the listener and its backlog", f)
	}
	if f := find(t, found, "accept-queue"); f.Severity != hostcheck.Warning {
		t.Errorf("got %+v, want a warning", f)
	}
	find(t, found, "listen-overflows")
}

func TestAConnectGivesUpWhenTheFindingSays(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 4 s")
	}
	if !inLab(t, func(lab *netlab.Lab) {
		lab.Sysctl(lab.Client, "net.ipv4.tcp_syn_retries", "1")
		lab.Sysctl(lab.Client, "net.ipv4.tcp_syn_linear_timeouts", "1")
		lab.Sysctl(lab.Server, "net.ipv4.ip_forward", "0") // which drops in silence
		lab.AddRoute(lab.Client, netip.MustParsePrefix("198.18.50.0/24"), netlab.ServerAddr)
	}) {
		return
	}
	if f := find(t, hostcheck.Check(read(t), nil), "syn-retries"); !strings.Contains(f.Effect, "after 4s") {
		t.Errorf("got %+v, want one that says 4 s", f)
	}
	began := time.Now()
	c, err := net.Dial("tcp", "198.18.50.1:80")
	took := time.Since(began)
	// One more retry would take it to 7 s, without as to 3 s or less.
	if !errors.Is(err, syscall.ETIMEDOUT) || took < 3500*time.Millisecond || took > 7*time.Second {
		t.Errorf("got %v, %v after %v, want ETIMEDOUT after 4 s", c, err, took)
	}
}

func TestGoProbesAfterFifteenSecondsWhateverTheKernelIsSetTo(t *testing.T) {
	if !inLab(t, func(lab *netlab.Lab) { lab.Sysctl(lab.Client, "net.ipv4.tcp_keepalive_time", "7200") }) {
		return
	}
	client, server := pair(t, listen(t, "127.0.0.1:0"))
	for _, c := range []*net.TCPConn{client, server} {
		raw, err := c.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) {
			idle, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPIDLE)
			on, err2 := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE)
			if err != nil || err2 != nil || idle != 15 || on != 1 {
				t.Errorf("got keep-alive %d after %d s, %v, %v, want it on, after 15 s", on, idle, err, err2)
			}
		})
	}
}
