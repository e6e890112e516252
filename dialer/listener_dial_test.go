package dialer_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stayopen-go/stayopen/dialer"
)

var errEnough = errors.New("that is enough")

// failAfter lets n sockets be opened, and keeps the address of the last.
func failAfter(n int, opened *int, address *string) func(string, string, syscall.RawConn) error {
	return func(_, a string, _ syscall.RawConn) error {
		if *opened++; *opened > n {
			return errEnough
		}
		*address = a
		return nil
	}
}

func TestListenerDialsFromItsOwnPort(t *testing.T) {
	if runtime.GOOS == "windows" {
		l := open(t, dialer.ListenConfig{}, "tcp4", "127.0.0.1:0")
		if _, err := l.DialContext(context.Background(), "tcp4", l.Addr().String()); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("got %v, want errors.ErrUnsupported", err)
		}
		return
	}
	for _, test := range []struct{ network, address, to, from string }{
		{"tcp4", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1"},
		{"tcp", ":0", "127.0.0.1:0", "127.0.0.1"},
		{"tcp", ":0", "[::1]:0", "::1"},
		{"tcp6", "[::1]:0", "[::1]:0", "::1"},
		{"tcp4", "0.0.0.0:0", "127.0.0.1:0", "127.0.0.1"},
	} {
		t.Run(test.network+" "+test.address+" to "+test.to, func(t *testing.T) {
			l := open(t, dialer.ListenConfig{ReusePort: true}, test.network, test.address)
			for range 2 { // each to a destination of its own
				server := listen(t, test.to)
				c, err := l.DialContext(context.Background(), "tcp", server.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer c.(*dialer.Conn).Reset()
				got := c.LocalAddr().(*net.TCPAddr)
				if port := l.Addr().(*net.TCPAddr).Port; got.IP.String() != test.from || got.Port != port {
					t.Errorf("got a connection from %v, want %s and port %d", got, test.from, port)
				}
			}
			if got := l.Stats(); got != (dialer.ListenerStats{}) {
				t.Errorf("got %+v, want no dialed connection among the accepted", got)
			}
			connect(t, l)
			accept(t, l) // it still listens
		})
	}
}

func TestListenerThatCannotDialSaysWhy(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // it cannot there at all
	}
	to := listen(t, "127.0.0.1:0").Addr().String()
	alone := open(t, dialer.ListenConfig{}, "tcp4", "127.0.0.1:0")
	if _, err := alone.DialContext(context.Background(), "tcp", to); err == nil || !strings.Contains(err.Error(), "ListenConfig.ReusePort") {
		t.Errorf("without ReusePort: got %v, want an error that names the field", err)
	}
	shared := open(t, dialer.ListenConfig{ReusePort: true}, "tcp4", "127.0.0.1:0")
	var unknown net.UnknownNetworkError
	if _, err := shared.DialContext(context.Background(), "udp", to); !errors.As(err, &unknown) {
		t.Errorf("udp: got %v, want a net.UnknownNetworkError", err)
	}
	for from, other := range map[string]string{"127.0.0.1:0": "[::1]:80", "[::1]:0": "127.0.0.1:80"} {
		l := open(t, dialer.ListenConfig{ReusePort: true}, "tcp", from)
		_, err := l.DialContext(context.Background(), "tcp", other)
		var ae *net.AddrError
		if !errors.As(err, &ae) || ae.Addr != other || !strings.Contains(err.Error(), "dial tcp "+l.Addr().String()) || !strings.Contains(err.Error(), "reaches no other") {
			t.Errorf("from %s to %s: got %v, want an error that names both and says why", from, other, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := shared.DialContext(ctx, "tcp", to); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v, want context.Canceled", err)
	}
	shared.Close()
	if _, err := shared.DialContext(context.Background(), "tcp", to); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: got %v, want net.ErrClosed", err)
	}
}
