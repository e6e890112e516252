package dialer_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/internal/netlab"
)

// A socket is connected by this package before net does it again, which must not
// show in the errors.
func TestConnectFailsAsNetDialersDoes(t *testing.T) {
	if _, inside := inLab(t, nil); !inside {
		return
	}
	for _, route := range []string{
		"prohibit 203.0.113.1", "unreachable 203.0.113.2", "blackhole 203.0.113.3",
		"prohibit 2001:db8:bad::1", "unreachable 2001:db8:bad::2", "blackhole 2001:db8:bad::3",
	} {
		if out, err := exec.Command("ip", append([]string{"route", "add"}, strings.Fields(route)...)...).CombinedOutput(); err != nil {
			t.Fatalf("ip route add %s: %v: %s", route, err, out)
		}
	}
	port := closedPort(t)
	for _, addr := range []string{
		"127.0.0.1", "::1", "", "0.0.0.0", "::", // nobody listens there
		netlab.ServerAddr.String(), netlab.ServerAddr6.String(), // nor there
		netlab.ServerAddr.Next().Next().String(), // nobody is there
		"203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4",
		"2001:db8:bad::1", "2001:db8:bad::2", "2001:db8:bad::3", "2001:db8:bad::4",
		"255.255.255.255", "224.0.0.1", "ff02::1", "fe80::1", "fe80::1%eth0", "fe80::1%nothing",
	} {
		for _, network := range []string{"tcp", "tcp4", "tcp6"} {
			dialed := net.JoinHostPort(addr, port)
			fails := func(d interface {
				DialContext(ctx context.Context, network, address string) (net.Conn, error)
			}) string {
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				c, err := d.DialContext(ctx, network, dialed)
				if err == nil {
					c.Close()
					t.Fatalf("%s %s: got a connection, want none", network, dialed)
				}
				return err.Error()
			}
			if got, want := fails(new(dialer.Dialer)), fails(new(net.Dialer)); got != want {
				t.Errorf("%s %s: got error %q, want net.Dialer's: %q", network, dialed, got, want)
			}
		}
	}
	wantNothingCounted(t)
}

// closedPort is a port at which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l := listen(t, "[::]:0")
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// Control functions of users may have the kernel put the connect off, or connect
// by themselves.
func TestSocketsThatControlHasConnected(t *testing.T) {
	if _, inside := inLab(t, func(lab *netlab.Lab) {
		const clientAndServerWithoutCookie = "1543" // 0x607, see ip-sysctl
		lab.Sysctl(lab.Client, "net.ipv4.tcp_fastopen", clientAndServerWithoutCookie)
	}); !inside {
		return
	}
	deferred := func(fd int, _ netip.AddrPort) error {
		return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_FASTOPEN_CONNECT, 1)
	}
	connects := func(fd int, dst netip.AddrPort) error {
		err := unix.Connect(fd, &unix.SockaddrInet4{Addr: dst.Addr().As4(), Port: int(dst.Port())})
		if err == unix.EINPROGRESS {
			return nil
		}
		return err
	}
	addr := echo(t, "127.0.0.1:0")
	for name, test := range map[string]struct {
		control func(fd int, dst netip.AddrPort) error
		sources []netip.Prefix
	}{
		"TCP_FASTOPEN_CONNECT":             {deferred, nil},
		"TCP_FASTOPEN_CONNECT and Sources": {deferred, prefixes("127.0.0.2/32")},
		"connect":                          {connects, nil},
	} {
		d := &dialer.Dialer{Sources: test.sources, Control: func(_, address string, c syscall.RawConn) error {
			var err error
			if cerr := c.Control(func(fd uintptr) { err = test.control(int(fd), netip.MustParseAddrPort(address)) }); cerr != nil {
				return cerr
			}
			return err
		}}
		c := dial(t, d, addr)
		if _, err := io.WriteString(c, "hello"); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := make([]byte, 5)
		if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
			t.Errorf("%s: got %q and %v back, want hello", name, got, err)
		}
		if test.sources != nil && c.LocalAddr().(*net.TCPAddr).AddrPort().Addr() != test.sources[0].Addr() {
			t.Errorf("%s: got local address %v, want %v", name, c.LocalAddr(), test.sources[0].Addr())
		}
		c.Close()
	}
	wantNothingCounted(t)
}

// net tries 0.0.0.0 as well, when :: is dialed (golang.org/issue/18806).
func TestUnspecifiedIPv6AddressReachesAnIPv4Listener(t *testing.T) {
	_, port, _ := net.SplitHostPort(echo(t, "127.0.0.1:0"))
	for name, d := range map[string]*dialer.Dialer{
		"without Sources":      {},
		"with Sources":         {Sources: prefixes("127.0.0.1/32", "::1/128")},
		"with Sources of IPv4": {Sources: prefixes("127.0.0.1/32")},
	} {
		c, err := d.Dial("tcp", "[::]:"+port)
		if err != nil {
			t.Errorf("%s: got %v, want a connection as with net.Dialer", name, err)
			continue
		}
		c.Close()
	}
	wantNothingCounted(t)
}

// With a dial to :: there are two attempts, and one may be left running.
func TestUnspecifiedIPv6AddressIsDialedByHappyEyeballs(t *testing.T) {
	_, port, _ := net.SplitHostPort(echo(t, "[::]:0"))
	d := &dialer.Dialer{FallbackDelay: 1, Sources: prefixes("127.0.0.1/32", "::1/128")}
	var dials sync.WaitGroup
	for range 8 {
		dials.Go(func() {
			for range 50 {
				c, err := d.Dial("tcp", "[::]:"+port)
				if err != nil {
					t.Error(err)
					return
				}
				if got := c.LocalAddr().(*net.TCPAddr).AddrPort().Addr(); got != c.(*dialer.Conn).Source() {
					t.Errorf("got local address %v, want the source, %v", got, c.(*dialer.Conn).Source())
				}
				release([]net.Conn{c})
			}
		})
	}
	dials.Wait()
	wantNothingCountedSoon(t)
}

// The refusal is there before net looks at the time.
func TestDialWhoseTimeIsUpBeforeItConnectsSaysSo(t *testing.T) {
	addr := "127.0.0.1:" + closedPort(t)
	for name, d := range map[string]*dialer.Dialer{
		"without Sources": {},
		"with Sources":    {Sources: prefixes("127.0.0.1/32", "127.0.0.2/32")},
	} {
		d.Timeout = time.Millisecond
		d.ControlContext = func(ctx context.Context, _, _ string, _ syscall.RawConn) error {
			<-ctx.Done()
			return nil
		}
		if _, err := d.Dial("tcp", addr); !isTimeout(err) {
			t.Errorf("%s: got %v, want a timeout as with net.Dialer", name, err)
		}
	}
	wantNothingCounted(t)
}

// net closes a socket that is connected to itself, and makes another one, up to
// twice. A TIME_WAIT of it would be counted by nobody, and here be on the only port
// there is.
func TestConnectionToItselfThatNetClosesLeavesNoTimeWait(t *testing.T) {
	needPortRange(t)
	if _, inside := inLab(t, nil); !inside {
		return
	}
	ifi, err := net.InterfaceByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	addrs, err := ifi.Addrs()
	if err != nil {
		t.Fatal(err)
	}
	hosts := []string{"127.0.0.1", "::1", "0.0.0.0"}
	for _, a := range addrs {
		if host := a.(*net.IPNet).IP; host.IsLinkLocalUnicast() {
			hosts = append(hosts, host.String()+"%eth0")
		}
	}
	if len(hosts) < 4 {
		t.Fatalf("got %v, want eth0 to have a link-local address", addrs)
	}
	only := dialer.PortRange{Lo: 50000, Hi: 50000}
	for _, host := range hosts {
		for linger, d := range map[int]*dialer.Dialer{
			-1: {PortRange: only},
			7: {PortRange: only, Control: func(_, _ string, c syscall.RawConn) (err error) {
				cerr := c.Control(func(fd uintptr) {
					err = unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 7})
				})
				return errors.Join(cerr, err)
			}},
		} {
			c, err := d.Dial("tcp", net.JoinHostPort(host, "50000"))
			if err != nil {
				t.Errorf("%s: got %v, want the third connection to itself, which net keeps", host, err)
				continue
			}
			if got := getsockopt(t, c.(*dialer.Conn), unix.SOL_SOCKET, unix.SO_LINGER); got != linger {
				t.Errorf("%s: got SO_LINGER %d, want %d, negative being off", host, got, linger)
			}
			c.(*dialer.Conn).Reset()
		}
	}
	if n := netlab.Count(t, func(s netlab.Socket) bool { return s.State == netlab.TimeWait }); n != 0 {
		t.Errorf("got %d TIME_WAITs, want none", n)
	}
	wantNothingCounted(t)
}
