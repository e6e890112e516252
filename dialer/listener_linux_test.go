package dialer_test

import (
	"context"
	"errors"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/internal/netlab"
)

// optionOf reads an integer option of the socket.
func optionOf(t testing.TB, s syscall.Conn, level, option int) int {
	t.Helper()
	raw, err := s.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var value int
	if cerr := raw.Control(func(fd uintptr) { value, err = unix.GetsockoptInt(int(fd), level, option) }); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	return value
}

func TestListenerHasTheOptionsThatItWasGiven(t *testing.T) {
	for _, shared := range []bool{false, true} {
		l := open(t, dialer.ListenConfig{ReusePort: shared}, "tcp", "127.0.0.1:0")
		want := map[int]int{unix.SO_REUSEADDR: 1, unix.SO_REUSEPORT: 0, unix.SO_PROTOCOL: unix.IPPROTO_TCP}
		if shared {
			want[unix.SO_REUSEPORT] = 1
		}
		for option, value := range want {
			if got := optionOf(t, l, unix.SOL_SOCKET, option); got != value {
				t.Errorf("ReusePort %v: option %d: got %d, want %d", shared, option, got, value)
			}
		}
	}
}

func TestAcceptedConnsHaveTheKeepAliveThatWasAsked(t *testing.T) {
	lc := dialer.ListenConfig{}
	lc.KeepAliveConfig.Enable = true
	lc.KeepAliveConfig.Idle = 77 * time.Second
	lc.KeepAliveConfig.Count = 3
	l := open(t, lc, "tcp4", "127.0.0.1:0")
	connect(t, l)
	c := accept(t, l)
	for option, want := range map[int]int{unix.TCP_KEEPIDLE: 77, unix.TCP_KEEPCNT: 3} {
		if got := optionOf(t, c, unix.IPPROTO_TCP, option); got != want {
			t.Errorf("option %d: got %d, want %d", option, got, want)
		}
	}
}

// A restart finds TIME_WAITs of its predecessor at its port. That they would be
// in the way is shown with the option off.
func TestListenerBindsPastTimeWaits(t *testing.T) {
	if !netlab.Inside() {
		lab := netlab.New(t)
		lab.Rerun(t, lab.Client)
		return
	}
	const address = "198.18.0.1:8080"
	off := func(_, _ string, c syscall.RawConn) error {
		var err error
		c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 0) })
		return err
	}
	l := open(t, dialer.ListenConfig{}, "tcp4", address)
	client := connect(t, l)
	accept(t, l).Close() // first, so that the TIME_WAIT is the server's
	client.Close()
	l.Close()
	netlab.Await(t, "a TIME_WAIT at the port", func() bool {
		return netlab.Count(t, func(s netlab.Socket) bool {
			return s.State == netlab.TimeWait && s.Local == netip.MustParseAddrPort(address)
		}) == 1
	})
	if got, err := (&dialer.ListenConfig{Control: off}).Listen(context.Background(), "tcp4", address); !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("without SO_REUSEADDR: got %v, %v, want EADDRINUSE", got, err)
	}
	open(t, dialer.ListenConfig{}, "tcp4", address)
}

func wantKeepAlive(t *testing.T, c *dialer.Conn, idle int) {
	t.Helper()
	if got := optionOf(t, c, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE); got != idle {
		t.Errorf("TCP_KEEPIDLE: got %d, want %d", got, idle)
	}
}
