package dialer_test

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/internal/checks/mustrun"
	"github.com/stayopen-go/stayopen/internal/netlab"
)

// getsockopt reads an option from the socket.
func getsockopt(t *testing.T, c syscall.Conn, level, option int) int {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	return rawGetsockopt(t, raw, level, option)
}

func rawGetsockopt(t *testing.T, raw syscall.RawConn, level, option int) (value int) {
	t.Helper()
	var err error
	cerr := raw.Control(func(fd uintptr) {
		if option == unix.SO_LINGER && level == unix.SOL_SOCKET {
			var l *unix.Linger
			if l, err = unix.GetsockoptLinger(int(fd), level, option); err == nil {
				value = int(l.Linger)
				if l.Onoff == 0 {
					value = -1
				}
			}
			return
		}
		value, err = unix.GetsockoptInt(int(fd), level, option)
	})
	if err := errors.Join(cerr, err); err != nil {
		t.Fatalf("getsockopt %d, %d: %v", level, option, err)
	}
	return value
}

// needPortRange skips the test on kernels without IP_LOCAL_PORT_RANGE.
func needPortRange(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_LOCAL_PORT_RANGE, 0); err != nil {
		mustrun.Skipf(t, "this test needs IP_LOCAL_PORT_RANGE, which is in Linux 6.3 and later: %v", err)
	}
}

const allPorts = 1 | -1<<16 // 1 to 65535, as IP_LOCAL_PORT_RANGE has it

func TestOptionsAreOnTheSocket(t *testing.T) {
	needPortRange(t)
	v4, v6 := echo(t, "127.0.0.1:0"), echo(t, "[::1]:0")
	for _, test := range []struct {
		name, addr       string
		d                dialer.Dialer
		noPort, freebind int
		ports            int
	}{
		{"no source", v4, dialer.Dialer{}, 0, 0, allPorts},
		{"no source, IPv6", v6, dialer.Dialer{}, 0, 0, allPorts},
		{"one address", v4, dialer.Dialer{Sources: prefixes("127.0.0.5/32")}, 1, 0, allPorts},
		{"one address, IPv6", v6, dialer.Dialer{Sources: prefixes("::1/128")}, 1, 0, allPorts},
		{"a prefix", v4, dialer.Dialer{Sources: prefixes("127.9.0.0/16")}, 1, 1, allPorts},
		{"a range", v4, dialer.Dialer{PortRange: dialer.PortRange{Lo: 40000, Hi: 49999}}, 0, 0, 40000 | 49999<<16 - 1<<32},
		{"a range, IPv6", v6, dialer.Dialer{Sources: prefixes("::1/128"), PortRange: dialer.PortRange{Lo: 40000, Hi: 49999}}, 1, 0, 40000 | 49999<<16 - 1<<32},
	} {
		c := dial(t, &test.d, test.addr)
		for _, option := range []struct {
			name         string
			number, want int
		}{
			{"IP_BIND_ADDRESS_NO_PORT", unix.IP_BIND_ADDRESS_NO_PORT, test.noPort},
			{"IP_FREEBIND", unix.IP_FREEBIND, test.freebind},
			{"IP_LOCAL_PORT_RANGE", unix.IP_LOCAL_PORT_RANGE, test.ports},
		} {
			if got := getsockopt(t, c, unix.IPPROTO_IP, option.number); got != option.want {
				t.Errorf("%s: %s: got %#x, want %#x", test.name, option.name, got, option.want)
			}
		}
		local := c.LocalAddr().(*net.TCPAddr).AddrPort()
		if len(test.d.Sources) > 0 && (local.Addr() != c.Source() || !test.d.Sources[0].Contains(local.Addr())) {
			t.Errorf("%s: dialed from %v, Source says %v, want an address of %v", test.name, local, c.Source(), test.d.Sources)
		}
		if r := test.d.PortRange; r.Lo != 0 && (local.Port() < r.Lo || local.Port() > r.Hi) {
			t.Errorf("%s: dialed from %v, want a port in %v", test.name, local, r)
		}
	}
}

func TestOptionsOfNetDialerStay(t *testing.T) {
	addr := echo(t, "127.0.0.1:0")
	for _, test := range []struct {
		name   string
		theirs net.Dialer
		ours   dialer.Dialer
	}{
		{"zero", net.Dialer{}, dialer.Dialer{}},
		{"no keep-alive", net.Dialer{KeepAlive: -1}, dialer.Dialer{KeepAlive: -1, Sources: prefixes("127.0.0.1/32")}},
		{"keep-alive", net.Dialer{KeepAlive: 7e9}, dialer.Dialer{KeepAlive: 7e9}},
		{
			"keep-alive in detail",
			net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 3e9, Interval: 4e9, Count: 5}},
			dialer.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 3e9, Interval: 4e9, Count: 5}},
		},
		{"a part of a second", net.Dialer{KeepAlive: 1}, dialer.Dialer{KeepAlive: 1}},
		{"KeepAlive beside the details", net.Dialer{KeepAlive: -1, KeepAliveConfig: net.KeepAliveConfig{Enable: true}}, dialer.Dialer{KeepAlive: -1, KeepAliveConfig: net.KeepAliveConfig{Enable: true}}},
		{"details that are off", net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Idle: 3e9}}, dialer.Dialer{KeepAliveConfig: net.KeepAliveConfig{Idle: 3e9}}},
		{
			"the kernel's defaults",
			net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: -1, Interval: -1, Count: -1}},
			dialer.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: -1, Interval: -1, Count: -1}},
		},
		{
			"values that the kernel refuses",
			net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 1e15, Interval: 2.5e9, Count: 1000}},
			dialer.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 1e15, Interval: 2.5e9, Count: 1000}},
		},
	} {
		sameOptions(t, test.name, &test.theirs, &test.ours, addr)
	}
}

// sameOptions dials with both and compares what net.Dialer sets.
func sameOptions(t *testing.T, name string, theirs *net.Dialer, d *dialer.Dialer, addr string) {
	t.Helper()
	c, err := theirs.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ours := dial(t, d, addr)
	for option, o := range map[string][2]int{
		"SO_KEEPALIVE":  {unix.SOL_SOCKET, unix.SO_KEEPALIVE},
		"SO_LINGER":     {unix.SOL_SOCKET, unix.SO_LINGER},
		"SO_REUSEADDR":  {unix.SOL_SOCKET, unix.SO_REUSEADDR},
		"TCP_KEEPIDLE":  {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE},
		"TCP_KEEPINTVL": {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL},
		"TCP_KEEPCNT":   {unix.IPPROTO_TCP, unix.TCP_KEEPCNT},
		"TCP_NODELAY":   {unix.IPPROTO_TCP, unix.TCP_NODELAY},
	} {
		want := getsockopt(t, c.(*net.TCPConn), o[0], o[1])
		if got := getsockopt(t, ours, o[0], o[1]); got != want {
			t.Errorf("%s: %s: got %d, want %d as net.Dialer has it", name, option, got, want)
		}
	}
}

func TestKeepAliveProbesAreNetDialersWhateverTheKernelHas(t *testing.T) {
	if !netlab.Inside() {
		lab := netlab.New(t)
		lab.Rerun(t, lab.Client)
		return
	}
	addr := echo(t, "127.0.0.1:0")
	for _, probes := range []string{"9", "3"} { // changed between two dials
		if err := os.WriteFile("/proc/sys/net/ipv4/tcp_keepalive_probes", []byte(probes), 0); err != nil {
			t.Fatal(err)
		}
		sameOptions(t, "zero, kernel "+probes, new(net.Dialer), new(dialer.Dialer), addr)
		left := net.KeepAliveConfig{Enable: true, Count: -1}
		sameOptions(t, "the kernel's "+probes, &net.Dialer{KeepAliveConfig: left}, &dialer.Dialer{KeepAliveConfig: left}, addr)
	}
}

// net.Dialer sets its own over what the user's control function has set.
func TestKeepAliveIsNetDialersWhateverControlSets(t *testing.T) {
	addr := echo(t, "127.0.0.1:0")
	control := func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			for _, option := range []int{unix.TCP_KEEPIDLE, unix.TCP_KEEPINTVL, unix.TCP_KEEPCNT} {
				if err := unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, option, 3); err != nil {
					t.Error(err)
				}
			}
			if err := unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1); err != nil {
				t.Error(err)
			}
		})
	}
	left := net.KeepAliveConfig{Enable: true, Idle: -1, Interval: -1, Count: -1}
	sameOptions(t, "zero", &net.Dialer{Control: control}, &dialer.Dialer{Control: control}, addr)
	sameOptions(t, "off", &net.Dialer{Control: control, KeepAlive: -1}, &dialer.Dialer{Control: control, KeepAlive: -1}, addr)
	sameOptions(t, "left", &net.Dialer{Control: control, KeepAliveConfig: left}, &dialer.Dialer{Control: control, KeepAliveConfig: left}, addr)
}

func TestControlSeesTheSocketFirst(t *testing.T) {
	needPortRange(t)
	check := func(raw syscall.RawConn) error {
		var sa unix.Sockaddr
		var err error
		raw.Control(func(fd uintptr) { sa, err = unix.Getsockname(int(fd)) })
		if in4, ok := sa.(*unix.SockaddrInet4); err != nil || !ok || *in4 != (unix.SockaddrInet4{}) {
			t.Errorf("got local address %v, %v, want none yet", sa, err)
		}
		for name, option := range map[string]int{
			"IP_BIND_ADDRESS_NO_PORT": unix.IP_BIND_ADDRESS_NO_PORT,
			"IP_FREEBIND":             unix.IP_FREEBIND,
			"IP_LOCAL_PORT_RANGE":     unix.IP_LOCAL_PORT_RANGE,
		} {
			if got := rawGetsockopt(t, raw, unix.IPPROTO_IP, option); got != 0 {
				t.Errorf("%s: got %#x, want 0: the user's function comes first", name, got)
			}
		}
		if got := rawGetsockopt(t, raw, unix.SOL_SOCKET, unix.SO_LINGER); got != -1 {
			t.Errorf("SO_LINGER: got %d, want it off", got)
		}
		return nil
	}
	addr := echo(t, "127.0.0.1:0")
	for _, d := range []*dialer.Dialer{
		{Control: func(_, _ string, c syscall.RawConn) error { return check(c) }},
		{ControlContext: func(_ context.Context, _, _ string, c syscall.RawConn) error { return check(c) }},
	} {
		d.Sources = prefixes("127.0.0.0/16")
		dial(t, d, addr)
	}
}

func TestWhatControlSetsStays(t *testing.T) {
	needPortRange(t)
	const ports = 40000 | 49999<<16 - 1<<32
	linger := 7
	d := &dialer.Dialer{Sources: prefixes("127.0.0.1/32"), Control: func(_, _ string, c syscall.RawConn) (err error) {
		cerr := c.Control(func(fd uintptr) {
			err = errors.Join(
				unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: int32(linger)}),
				unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_LOCAL_PORT_RANGE, ports))
		})
		return errors.Join(cerr, err)
	}}
	addr := echo(t, "127.0.0.1:0")
	for _, linger = range []int{7, 0} {
		c := dial(t, d, addr)
		if got := getsockopt(t, c, unix.SOL_SOCKET, unix.SO_LINGER); got != linger {
			t.Errorf("SO_LINGER: got %d, want %d", got, linger)
		}
		if got := getsockopt(t, c, unix.IPPROTO_IP, unix.IP_LOCAL_PORT_RANGE); got != ports {
			t.Errorf("IP_LOCAL_PORT_RANGE: got %#x, want %#x", got, ports)
		}
		if got := c.CloseState().Reset; got != (linger == 0) {
			t.Errorf("with SO_LINGER %d: got reset foreseen %v, want %v", linger, got, linger == 0)
		}
	}
	// A range of the Dialer's own goes before.
	d.PortRange = dialer.PortRange{Lo: 50000, Hi: 50100}
	if got, want := getsockopt(t, dial(t, d, addr), unix.IPPROTO_IP, unix.IP_LOCAL_PORT_RANGE), 50000|50100<<16-1<<32; got != want {
		t.Errorf("IP_LOCAL_PORT_RANGE: got %#x, want %#x from PortRange", got, want)
	}
}
