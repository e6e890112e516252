package dialer_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stayopen-go/stayopen/dialer"
)

func TestListenersThatReuseThePortShareItAndItsConnections(t *testing.T) {
	lc := dialer.ListenConfig{ReusePort: true}
	first, err := lc.Listen(context.Background(), "tcp4", "127.0.0.1:0")
	if runtime.GOOS == "windows" {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("got %v, want errors.ErrUnsupported", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	addr := first.Addr().String()
	second, err := lc.Listen(context.Background(), "tcp4", addr)
	if err != nil {
		t.Fatalf("a second listener on %s: %v", addr, err)
	}
	defer second.Close()
	if third, err := (&dialer.ListenConfig{}).Listen(context.Background(), "tcp4", addr); !errors.Is(err, syscall.EADDRINUSE) {
		if err == nil {
			third.Close()
		}
		t.Errorf("a listener without ReusePort on a port in use: got %v, want EADDRINUSE", err)
	}
	if runtime.GOOS != "linux" {
		return // which of them gets a connection is Linux's promise
	}
	var accepted [2]atomic.Int64
	for i, l := range []net.Listener{first, second} {
		go func() {
			for c, err := l.Accept(); err == nil; c, err = l.Accept() {
				accepted[i].Add(1)
				c.Close()
			}
		}()
	}
	const n = 200
	for range n {
		c, err := net.Dial("tcp4", addr)
		if err != nil {
			t.Fatal(err)
		}
		c.Read(make([]byte, 1)) // until it was accepted and closed
		c.Close()
	}
	a, b := accepted[0].Load(), accepted[1].Load()
	if a+b != n || min(a, b) < n/5 {
		t.Errorf("of %d connections the listeners accepted %d and %d, want all, and some %d each", n, a, b, n/2)
	}
}

func TestListenerRunsTheUsersControlFirstAndKeepsItsError(t *testing.T) {
	want := errors.New("not today")
	lc := dialer.ListenConfig{ReusePort: true, Control: func(network, address string, c syscall.RawConn) error { return want }}
	if _, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0"); !errors.Is(err, want) {
		t.Errorf("got %v, want the control function's error", err)
	}
}

func TestListenRefusesOtherNetworks(t *testing.T) {
	var unknown net.UnknownNetworkError
	if _, err := (&dialer.ListenConfig{}).Listen(context.Background(), "unix", "x"); !errors.As(err, &unknown) {
		t.Errorf("got %v, want a net.UnknownNetworkError", err)
	}
}
