package dialer_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/internal/netlab"
)

// greet accepts until the listener is closed, and sends a byte on each
// connection. It returns how many there were.
func greet(t *testing.T, l net.Listener) int {
	n := 0
	for ; ; n++ {
		c, err := l.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("Accept: got %v, want net.ErrClosed at the end", err)
			}
			return n
		}
		c.Write([]byte("!"))
		c.Close()
	}
}

// greeted counts the connections that received their byte; the others were lost.
func greeted(t *testing.T, clients []net.Conn) int {
	t.Helper()
	n := 0
	for _, c := range clients {
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := c.Read(make([]byte, 1)); err == nil {
			n++
		} else if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("a client waits in vain, want it served or refused")
		}
	}
	return n
}

// twoWithQueues returns two listeners on one port and n clients, which nobody
// has accepted.
func twoWithQueues(t *testing.T, address string, n int) (first, second *dialer.Listener, clients []net.Conn) {
	t.Helper()
	pair, err := (&dialer.ListenConfig{}).ListenN(context.Background(), "tcp", address, 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range pair {
		t.Cleanup(func() { l.Close() })
	}
	for range n {
		clients = append(clients, connect(t, pair[0]))
	}
	return pair[0], pair[1], clients
}

func TestDrainLosesNothingOfWhatCloseLoses(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems do not spread connections over listeners")
	}
	const n = 400
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		for _, drain := range []bool{false, true} {
			first, second, clients := twoWithQueues(t, address, n)
			var counts [2]int
			var wg sync.WaitGroup
			if drain {
				wg.Go(func() { counts[0] = greet(t, first) })
				if err := first.Drain(context.Background()); err != nil {
					t.Errorf("Drain: got %v", err)
				}
			} else {
				first.Close()
			}
			wg.Go(func() { counts[1] = greet(t, second) })
			served := greeted(t, clients)
			second.Close()
			wg.Wait()
			switch lost := n - served; {
			case drain && (lost > 0 || counts[0] < n/4):
				t.Errorf("%s: with Drain %d of %d were lost, and it accepted %d, want none lost and about half accepted", address, lost, n, counts[0])
			case !drain && lost < n/4:
				t.Errorf("%s: with Close %d of %d were lost, want about half: else this test shows nothing", address, lost, n)
			}
			if counts[0]+counts[1] != served {
				t.Errorf("%s: %d and %d were accepted, and %d served, want as many", address, counts[0], counts[1], served)
			}
		}
	}
}

func TestDrainUnderLoadLosesNothing(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere Drain may lose one")
	}
	lc := dialer.ListenConfig{ReusePort: true}
	first := open(t, lc, "tcp4", "127.0.0.1:0")
	address := first.Addr().String()
	var servers, workers sync.WaitGroup
	defer servers.Wait()
	servers.Go(func() { greet(t, first) })
	ctx, stop := context.WithCancel(t.Context())
	var served atomic.Int64
	for range 8 {
		workers.Go(func() {
			for ctx.Err() == nil {
				if err := visit(address); err != nil {
					t.Errorf("a client failed: %v", err)
				}
				served.Add(1)
			}
		})
	}
	current := first
	for range 10 {
		next := open(t, lc, "tcp4", address)
		servers.Go(func() { greet(t, next) })
		if err := current.Drain(context.Background()); err != nil {
			t.Errorf("Drain: got %v", err)
		}
		current = next
		more := served.Load() + 100
		netlab.Await(t, "100 more clients", func() bool { return served.Load() > more })
	}
	stop()
	workers.Wait()
	current.Close()
}

// visit is a client with one connection for what it wants.
func visit(address string) error {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	_, err = c.Read(make([]byte, 1))
	return err
}

func TestDrainWaitsForSlotsAndAcceptors(t *testing.T) {
	if runtime.GOOS == "windows" {
		l := open(t, dialer.ListenConfig{}, "tcp4", "127.0.0.1:0")
		if err := l.Drain(context.Background()); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("got %v, want errors.ErrUnsupported", err)
		}
		return
	}
	l := open(t, dialer.ListenConfig{MaxConns: 1}, "tcp4", "127.0.0.1:0")
	for range 3 {
		connect(t, l)
	}
	drained := make(chan error)
	go func() { drained <- l.Drain(context.Background()) }()
	for i := range 3 {
		select {
		case err := <-drained:
			t.Fatalf("Drain returned %v with %d of 3 accepted, want it to wait", err, i)
		case <-time.After(10 * time.Millisecond):
		}
		accept(t, l).Close()
	}
	if err := <-drained; err != nil {
		t.Errorf("Drain: got %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Drain: got %v, want net.ErrClosed", err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("Close after Drain: got %v, want nil: Server.Shutdown returns it", err)
	}
}

func TestDrainEndsWithItsContextAndClosesAllTheSame(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // it does not wait there
	}
	l := open(t, dialer.ListenConfig{}, "tcp4", "127.0.0.1:0")
	client := connect(t, l)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := l.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with nobody to accept: got %v, want the context's error", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: got %v, want net.ErrClosed", err)
	}
	client.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := client.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the client that was left: got %v, want it reset", err)
	}
	if err := l.Drain(t.Context()); !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), "closed before") || strings.Contains(err.Error(), "raw-control") {
		t.Errorf("Drain of a closed listener: got %v, want net.ErrClosed that says so", err)
	}
}

func TestDrainThenShutdownReplacesAnHTTPServer(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere Drain may lose one")
	}
	first, second, clients := twoWithQueues(t, "127.0.0.1:0", 50)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "served") })}
	old, fresh := make(chan error), make(chan error)
	go func() { old <- server.Serve(first) }()
	if err := first.Drain(t.Context()); err != nil {
		t.Errorf("Drain: got %v", err)
	}
	if err := <-old; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve: got %v, want net.ErrClosed", err)
	}
	successor := &http.Server{Handler: server.Handler}
	go func() { fresh <- successor.Serve(second) }()
	// What the old one has accepted it still serves, though it listens no more.
	for _, c := range clients {
		c.SetDeadline(time.Now().Add(10 * time.Second))
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if answer, err := io.ReadAll(c); err != nil || len(answer) == 0 {
			t.Errorf("got %q, %v, want an answer to every client that was queued", answer, err)
		}
	}
	if n := first.Stats().Accepted; n == 0 {
		t.Error("the old server accepted none of the queued, want about half")
	}
	if err := server.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: got %v", err)
	}
	successor.Close()
	if err := <-fresh; err != http.ErrServerClosed {
		t.Errorf("the successor's Serve: got %v, want http.ErrServerClosed", err)
	}
}
