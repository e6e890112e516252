package dialer_test

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/stayopen-go/stayopen/dialer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listen listens on the address until the test ends.
func listen(t testing.TB, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// echo is a server that sends back what it receives, and closes after its
// client.
func echo(t testing.TB, address string) string {
	t.Helper()
	return serve(t, address, func(c net.Conn) { io.Copy(c, c) })
}

// sink is a server that reads until its client closes, and then closes. It has
// one descriptor a connection, where echo has a pipe to splice through as well.
func sink(t testing.TB, address string) string {
	t.Helper()
	return serve(t, address, func(c net.Conn) { io.Copy(io.Discard, struct{ io.Reader }{c}) })
}

// serve handles each connection, closes it, and returns the server's address.
func serve(t testing.TB, address string, handle func(net.Conn)) string {
	t.Helper()
	l := listen(t, address)
	var handlers sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	handlers.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			handlers.Go(func() {
				handle(c)
				mu.Lock()
				defer mu.Unlock()
				delete(open, c)
				c.Close()
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for c := range open {
			c.Close() // its client is gone without a word, as when its address is
		}
		mu.Unlock()
		handlers.Wait()
	})
	return l.Addr().String()
}

// dial dials and closes the connection when the test ends.
func dial(t testing.TB, d *dialer.Dialer, address string) *dialer.Conn {
	t.Helper()
	c, err := d.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*dialer.Conn)
}

// pair is a connection from both ends.
func pair(t testing.TB, d *dialer.Dialer, l net.Listener) (*dialer.Conn, *net.TCPConn) {
	t.Helper()
	c := dial(t, d, l.Addr().String())
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return c, s.(*net.TCPConn)
}

func prefixes(list ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, s := range list {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}

// release closes the connections by RST, so that their ports are free at once.
func release(all []net.Conn) {
	for _, c := range all {
		c.(interface{ SetLinger(int) error }).SetLinger(0)
		c.Close()
	}
}
