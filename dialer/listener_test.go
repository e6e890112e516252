package dialer_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/internal/netlab"
)

// open listens until the test ends.
func open(t testing.TB, lc dialer.ListenConfig, network, address string) *dialer.Listener {
	t.Helper()
	l, err := lc.Listen(context.Background(), network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.(*dialer.Listener)
}

// connect connects without a Dialer of this package, and closes at the end of
// the test.
func connect(t testing.TB, l *dialer.Listener) *net.TCPConn {
	t.Helper()
	c, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

// accept accepts a connection that is there, or soon.
func accept(t testing.TB, l *dialer.Listener) *dialer.Conn {
	t.Helper()
	if err := l.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	l.SetDeadline(time.Time{})
	t.Cleanup(func() { c.Close() })
	return c.(*dialer.Conn)
}

func TestListenerCountsWhoClosedFirst(t *testing.T) {
	l := open(t, dialer.ListenConfig{}, "tcp4", "127.0.0.1:0")
	const each = 20
	ways := []func(client *net.TCPConn, server *dialer.Conn){
		func(_ *net.TCPConn, server *dialer.Conn) { server.Close() },
		func(_ *net.TCPConn, server *dialer.Conn) { server.Reset() },
		func(client *net.TCPConn, server *dialer.Conn) {
			client.Close()
			io.Copy(io.Discard, server)
			server.Close()
		},
		func(client *net.TCPConn, server *dialer.Conn) {
			client.SetLinger(0)
			client.Close()
			io.Copy(io.Discard, server)
			server.Close()
			server.Close() // counts once
		},
		func(*net.TCPConn, *dialer.Conn) {}, // stays open
	}
	for _, end := range ways {
		for range each {
			client := connect(t, l)
			end(client, accept(t, l))
		}
	}
	want := dialer.ListenerStats{Accepted: 5 * each, Open: each, ClosedLocally: 2 * each, ClosedByPeer: 2 * each, Resets: 2 * each, TimeWaits: each}
	if runtime.GOOS != "linux" {
		want = dialer.ListenerStats{Accepted: 5 * each, Open: each, ClosedUnknown: 4 * each}
	}
	if got := l.Stats(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestListenerForgetsConnsThatAreLost(t *testing.T) {
	l := open(t, dialer.ListenConfig{MaxConns: 1}, "tcp4", "127.0.0.1:0")
	connect(t, l)
	if _, err := l.Accept(); err != nil { // and nobody keeps it
		t.Fatal(err)
	}
	netlab.Await(t, "the collector finds the lost connection", func() bool {
		runtime.GC()
		return l.Stats() == dialer.ListenerStats{Accepted: 1, ClosedUnknown: 1}
	})
	connect(t, l)
	accept(t, l) // its place is free again
}

func TestListenerAtItsLimitLeavesConnectionsInTheQueue(t *testing.T) {
	l := open(t, dialer.ListenConfig{MaxConns: 2}, "tcp4", "127.0.0.1:0")
	for range 3 {
		connect(t, l) // the kernel connects the third, too
	}
	first := accept(t, l)
	accept(t, l)
	third := make(chan net.Conn)
	go func() {
		defer close(third)
		if c, err := l.Accept(); err != nil {
			t.Errorf("Accept at the limit: got %v, want the third connection", err)
		} else {
			third <- c
		}
	}()
	select {
	case <-third:
		t.Error("Accept returned a third connection, want at most 2 open")
	case <-time.After(50 * time.Millisecond):
	}
	first.Close()
	if c := <-third; c != nil {
		defer c.Close()
	}
	if got := l.Stats(); got.Open != 2 || got.Accepted != 3 {
		t.Errorf("got %+v, want 3 accepted and 2 of them open", got)
	}
}

func TestListenerAtItsLimitIsWokenByCloseAndDeadline(t *testing.T) {
	l := open(t, dialer.ListenConfig{MaxConns: 1}, "tcp4", "127.0.0.1:0")
	connect(t, l)
	accept(t, l)
	waiting := make(chan error)
	wait := func() {
		_, err := l.Accept()
		waiting <- err
	}
	go wait()
	l.SetDeadline(time.Now().Add(time.Hour))
	l.SetDeadline(time.Now().Add(5 * time.Millisecond)) // keeps to the last that was set
	if err := <-waiting; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: got %v, want os.ErrDeadlineExceeded", err)
	}
	go wait()
	if err := <-waiting; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("with the deadline behind it: got %v, want os.ErrDeadlineExceeded", err)
	}
	l.SetDeadline(time.Time{})
	go wait()
	select {
	case err := <-waiting:
		t.Errorf("without a deadline: got %v, want Accept to wait", err)
	case <-time.After(20 * time.Millisecond):
		l.Close()
		if err := <-waiting; !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: got %v, want net.ErrClosed", err)
		}
	}
}

func TestListenerThatIsClosedIsClosedOnce(t *testing.T) {
	for _, limit := range []int{-1, 0, 1} {
		l := open(t, dialer.ListenConfig{MaxConns: limit}, "tcp4", "127.0.0.1:0")
		for range 2 {
			if err := l.Close(); err != nil {
				t.Errorf("limit %d: Close: got %v, want nil both times", limit, err)
			}
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("limit %d: Accept after Close: got %v, want net.ErrClosed", limit, err)
		}
		if err := l.SetDeadline(time.Now()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("limit %d: SetDeadline after Close: got %v, want net.ErrClosed", limit, err)
		}
	}
}

func TestListenerServesFilesUnderNetHTTP(t *testing.T) {
	l := open(t, dialer.ListenConfig{}, "tcp4", "127.0.0.1:0")
	content := strings.Repeat("stayopen", 1<<17)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	accepted := make(chan *dialer.Conn, 1)
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) }),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			accepted <- c.(*dialer.Conn)
			return ctx
		},
	}
	done := make(chan error)
	go func() { done <- server.Serve(l) }()
	tr := &http.Transport{}
	resp, err := (&http.Client{Transport: tr}).Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if string(body) != content || err != nil {
		t.Errorf("got %d bytes, %v, want the %d of the file", len(body), err, len(content))
	}
	conn := <-accepted
	if _, ok := net.Conn(conn).(io.ReaderFrom); !ok {
		t.Error("the connection is no io.ReaderFrom, want one: net/http sends files by it (sendfile)")
	}
	tr.CloseIdleConnections()
	netlab.Await(t, "the server sees the client's close", func() bool { return l.Stats().Open == 0 })
	if got := conn.BytesWritten(); got <= int64(len(content)) {
		t.Errorf("got %d bytes written, want the file's %d and a header", got, len(content))
	}
	if got := l.Stats(); runtime.GOOS == "linux" && got.ClosedByPeer != 1 {
		t.Errorf("got %+v, want one connection closed by the peer", got)
	}
	if err := server.Shutdown(context.Background()); err != nil {
		t.Errorf("Shutdown: got %v", err)
	}
	if err := <-done; err != http.ErrServerClosed {
		t.Errorf("Serve: got %v, want http.ErrServerClosed", err)
	}
}

func TestListenNSharesThePortOfTheFirst(t *testing.T) {
	for _, n := range []int{0, -1} {
		if _, err := (&dialer.ListenConfig{}).ListenN(context.Background(), "tcp4", "127.0.0.1:0", n); err == nil || !strings.Contains(err.Error(), "n ") {
			t.Errorf("n %d: got %v, want an error that names it", n, err)
		}
	}
	for _, address := range []string{"127.0.0.1:0", "localhost:0", ":0"} {
		all, err := (&dialer.ListenConfig{}).ListenN(context.Background(), "tcp", address, 3)
		if runtime.GOOS == "windows" {
			if !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("got %v, want errors.ErrUnsupported", err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range all {
			defer l.Close()
			if got, want := l.Addr().String(), all[0].Addr().String(); got != want {
				t.Errorf("%s: got a listener on %s beside one on %s, want the same", address, got, want)
			}
		}
		if len(all) != 3 {
			t.Errorf("%s: got %d listeners, want 3", address, len(all))
		}
	}
}

func TestListenNLeavesNoneOpenWhenOneFails(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // none is opened there
	}
	opened := 0
	var address string
	lc := dialer.ListenConfig{Control: failAfter(3, &opened, &address)}
	all, err := lc.ListenN(context.Background(), "tcp4", "127.0.0.1:0", 5)
	if !errors.Is(err, errEnough) || all != nil || opened != 4 {
		t.Fatalf("got %v, %v after %d sockets, want none and the error of the fourth", all, err, opened)
	}
	// Without ReusePort, so that any that is still there is in the way.
	open(t, dialer.ListenConfig{}, "tcp4", address)
}

func TestListenRefusesNamesThatCannotBePassedOn(t *testing.T) {
	for _, name := range []string{"a:b", "a\nb", strings.Repeat("x", 256)} {
		lc := dialer.ListenConfig{Name: name}
		if l, err := lc.Listen(context.Background(), "tcp4", "127.0.0.1:0"); err == nil || !strings.Contains(err.Error(), "ListenConfig.Name") {
			t.Errorf("%q: got %v, %v, want an error that names the field", name, l, err)
		}
	}
	if got := open(t, dialer.ListenConfig{Name: "web"}, "tcp4", "127.0.0.1:0").Name(); got != "web" {
		t.Errorf("got name %q, want web", got)
	}
}

// Who waits after Close until nothing is open, and then ends, would else cut off a
// connection that is on its way out of Accept.
func TestNoConnectionIsCountedAfterClose(t *testing.T) {
	for range 2000 {
		l := open(t, dialer.ListenConfig{}, "tcp4", "127.0.0.1:0")
		accepted := make(chan net.Conn)
		go func() {
			defer close(accepted)
			for c, err := l.Accept(); err == nil; c, err = l.Accept() {
				accepted <- c
			}
		}()
		client, err := net.Dial("tcp4", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		before := l.Stats()
		for c := range accepted {
			c.Close()
			if before.Accepted != 1 || before.Open != 1 {
				t.Errorf("when Close had returned: got %+v, want the connection that Accept returned counted", before)
			}
		}
		client.Close()
		if t.Failed() {
			return
		}
	}
}
