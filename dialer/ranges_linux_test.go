package dialer_test

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/internal/netlab"
)

// Two parts of a program may share a source and a destination, each with a range
// of ports of its own.
func TestRangeThatHasRunOutLeavesOtherRangesAlone(t *testing.T) {
	needPortRange(t)
	port, inside := inLab(t, narrowLab)
	if !inside {
		return
	}
	addr := netlab.ServerAddr.String() + ":" + port
	for _, name := range []string{"with Sources", "without Sources"} {
		t.Run(name, func(t *testing.T) {
			dialers := make(map[string]*dialer.Dialer)
			for what, r := range map[string]dialer.PortRange{"low": {Lo: 20000, Hi: 20004}, "high": {Lo: 20010, Hi: 20019}, "whole": {}} {
				dialers[what] = &dialer.Dialer{PortRange: r}
				if name == "with Sources" {
					dialers[what].Sources = prefixes("198.18.0.1/32")
				}
			}
			waiting := *dialers["low"]
			waiting.WaitForPort, waiting.Timeout = true, 10*time.Second

			all := openAll(dialers["low"].Dial, []string{addr}, 100)
			defer func() { release(all) }()
			if len(all) != 5 {
				t.Fatalf("got %d connections from the low range, want 5", len(all))
			}
			waited := make(chan error, 1)
			go func() {
				c, err := waiting.Dial("tcp", addr)
				if err == nil {
					c.(*dialer.Conn).Reset()
				}
				waited <- err
			}()
			for range 20 {
				if _, err := dialers["low"].Dial("tcp", addr); !errors.Is(err, dialer.ErrPortsExhausted) {
					t.Errorf("low range: got %v, want %v", err, dialer.ErrPortsExhausted)
				}
				for _, what := range []string{"high", "whole"} {
					c, err := dialers[what].Dial("tcp", addr)
					if err != nil {
						t.Errorf("%s range: got %v, want a connection: only the low range has run out", what, err)
						continue
					}
					c.(*dialer.Conn).Reset()
				}
			}
			// A port of the low range comes free, for who waits for one there.
			all[0].(*dialer.Conn).Reset()
			all = all[1:]
			if err := <-waited; err != nil {
				t.Errorf("waiting for the low range: got %v, want the port that came free", err)
			}
		})
	}
	wantNothingCounted(t)
}

// A Control function may bind sockets to an address or a device, whose ports are
// not those of all other dials.
func TestDialerWhoseControlBindsRunsOutAlone(t *testing.T) {
	port, inside := inLab(t, func(lab *netlab.Lab) {
		narrowLab(lab)
		lab.AddAddr(lab.Client, netip.MustParsePrefix("198.18.0.3/24"))
	})
	if !inside {
		return
	}
	addr := netlab.ServerAddr.String() + ":" + port
	bound := &dialer.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		cerr := c.Control(func(fd uintptr) {
			err = errors.Join(
				unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1),
				unix.Bind(int(fd), &unix.SockaddrInet4{Addr: [4]byte{198, 18, 0, 3}}))
		})
		return errors.Join(cerr, err)
	}}
	all := openAll(bound.Dial, []string{addr}, 100)
	defer func() { release(all) }()
	if len(all) != 20 {
		t.Fatalf("got %d connections, want 20", len(all))
	}
	for range 20 {
		if _, err := bound.Dial("tcp", addr); !errors.Is(err, dialer.ErrPortsExhausted) {
			t.Errorf("bound: got %v, want %v", err, dialer.ErrPortsExhausted)
		}
		c, err := new(dialer.Dialer).Dial("tcp", addr)
		if err != nil {
			t.Errorf("not bound: got %v, want a connection from an address with ports", err)
			continue
		}
		c.(*dialer.Conn).Reset()
	}
	all[0].(*dialer.Conn).Reset()
	c, err := bound.Dial("tcp", addr)
	if err != nil {
		t.Fatalf("bound, after a reset: got %v, want the port that came free", err)
	}
	all[0] = c
}

// Who narrows the ports has a reason to, such as a firewall. The kernel ignores
// a range that it has nothing of, and says nothing.
func TestRangeThatTheKernelWouldIgnoreIsAnError(t *testing.T) {
	needPortRange(t)
	port, inside := inLab(t, narrowLab)
	if !inside {
		return
	}
	addr := netlab.ServerAddr.String() + ":" + port
	for r, want := range map[dialer.PortRange]bool{
		{Lo: 19000, Hi: 19999}: false,
		{Lo: 20020, Hi: 30000}: false,
		{Lo: 19000, Hi: 20000}: true,
		{Lo: 20019, Hi: 20019}: true,
		{Lo: 1, Hi: 65535}:     true,
	} {
		c, err := (&dialer.Dialer{PortRange: r}).Dial("tcp", addr)
		switch {
		case want && err != nil:
			t.Errorf("%v: got %v, want a connection", r, err)
		case want:
			c.(*dialer.Conn).Reset()
		case err == nil || !strings.Contains(err.Error(), "Dialer.PortRange: "+r.String()) || !strings.Contains(err.Error(), "20000-20019"):
			t.Errorf("%v: got %v, want an error that names both ranges", r, err)
		}
	}
	// What the kernel does, and the error is for.
	c, err := (&net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		cerr := c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_LOCAL_PORT_RANGE, 19000|19999<<16)
		})
		return errors.Join(cerr, err)
	}}).Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.LocalAddr().(*net.TCPAddr).Port; got < 20000 || got > 20019 {
		t.Errorf("got port %d with the option set to 19000-19999, want one of 20000 to 20019", got)
	}
}
