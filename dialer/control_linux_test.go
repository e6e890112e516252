package dialer_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/internal/netlab"
)

// getsockoptString reads an option that is text.
func getsockoptString(t *testing.T, c syscall.Conn, level, option int) (value string) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	cerr := raw.Control(func(fd uintptr) { value, err = unix.GetsockoptString(int(fd), level, option) })
	if err := errors.Join(cerr, err); err != nil {
		t.Fatalf("getsockopt %d, %d: %v", level, option, err)
	}
	return strings.TrimRight(value, "\x00")
}

func TestControlFunctionsSetTheirOptions(t *testing.T) {
	for _, addr := range []string{echo(t, "127.0.0.1:0"), echo(t, "[::1]:0")} {
		for d, want := range map[time.Duration]int{
			0: 0, 1: 1, time.Millisecond: 1, 1500 * time.Microsecond: 2, 30 * time.Second: 30_000, (1<<31 - 1) * time.Millisecond: 1<<31 - 1,
		} {
			for way, socket := range sockets {
				c, err := socket(dialer.Controls(dialer.UserTimeout(d), dialer.CongestionControl("reno")), addr)
				if err != nil {
					t.Fatalf("%s: %v", way, err)
				}
				if c == nil {
					continue // a listener
				}
				defer c.Close()
				if got := getsockopt(t, c.(syscall.Conn), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT); got != want {
					t.Errorf("%s, %s: UserTimeout(%v): got %d ms, want %d", way, addr, d, got, want)
				}
				if got := getsockoptString(t, c.(syscall.Conn), unix.IPPROTO_TCP, unix.TCP_CONGESTION); got != "reno" {
					t.Errorf("%s, %s: got congestion control %q, want reno", way, addr, got)
				}
			}
		}
	}
}

func TestControlFunctionsReportTheKernelsRefusal(t *testing.T) {
	addr := echo(t, "127.0.0.1:0")
	for name, test := range map[string]struct {
		f    dialer.ControlFunc
		want error
	}{
		`BindToDevice("no-such-device"): setsockopt SO_BINDTODEVICE`: {dialer.BindToDevice("no-such-device"), syscall.ENODEV},
		`CongestionControl("no-such"): setsockopt TCP_CONGESTION`:    {dialer.CongestionControl("no-such"), syscall.ENOENT},
	} {
		for way, socket := range sockets {
			if _, err := socket(test.f, addr); !errors.Is(err, test.want) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: got %v, want %v with %s", way, err, test.want, name)
			}
		}
	}
}

// The mark is shown by a rule that forbids packets that carry it, the device by
// one that does not lead to the server.
func TestMarkAndDeviceDecideTheWayOfPackets(t *testing.T) {
	if os.Getenv("ROLE") == "server" {
		l := listen(t, "[::]:0")
		netlab.Hold(l.Addr().String())
		return
	}
	if !netlab.Inside() {
		lab := netlab.New(t)
		addr := lab.Start(t, lab.Server, "ROLE=server")
		lab.Rerun(t, lab.Client, "SERVER="+addr)
		return
	}
	const enough = 500 * time.Millisecond
	const forbidden, allowed = 7, 0xfffffff8 // the top bit is one of a mark, too
	port := netip.MustParseAddrPort(os.Getenv("SERVER")).Port()
	for family, server := range map[string]netip.Addr{"-4": netlab.ServerAddr, "-6": netlab.ServerAddr6} {
		rule := exec.Command("ip", family, "rule", "add", "fwmark", "7", "prohibit")
		if out, err := rule.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		addr := netip.AddrPortFrom(server, port).String()
		for way, dial := range map[string]func(f dialer.ControlFunc) (net.Conn, error){
			"Dialer": func(f dialer.ControlFunc) (net.Conn, error) {
				return (&dialer.Dialer{Control: f, Timeout: enough}).Dial("tcp", addr)
			},
			"net.Dialer": func(f dialer.ControlFunc) (net.Conn, error) {
				return (&net.Dialer{Control: f, Timeout: enough}).Dial("tcp", addr)
			},
		} {
			c, err := dial(dialer.Controls(dialer.Mark(allowed), dialer.BindToDevice("eth0")))
			if err != nil {
				t.Fatalf("%s to %s: %v", way, addr, err)
			}
			defer c.Close()
			if got := uint32(getsockopt(t, c.(syscall.Conn), unix.SOL_SOCKET, unix.SO_MARK)); got != allowed {
				t.Errorf("%s to %s: got mark %#x, want %#x", way, addr, got, uint32(allowed))
			}
			if got := getsockoptString(t, c.(syscall.Conn), unix.SOL_SOCKET, unix.SO_BINDTODEVICE); got != "eth0" {
				t.Errorf("%s to %s: got device %q, want eth0", way, addr, got)
			}
			if _, err := dial(dialer.Mark(forbidden)); !errors.Is(err, syscall.EACCES) {
				t.Errorf("%s to %s with the forbidden mark: got %v, want %v", way, addr, err, syscall.EACCES)
			}
			// IPv6 finds no way, IPv4 takes the server for a neighbor on lo.
			if _, err := dial(dialer.BindToDevice("lo")); err == nil {
				t.Errorf("%s to %s by way of lo: got a connection, want none", way, addr)
			}
		}
	}
}
