package shadow_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/transport"
	"github.com/stayopen-go/stayopen/transport/shadow"
)

// server is a net/http server that counts for itself what shadow claims.
type server struct {
	*httptest.Server
	dial     func(ctx context.Context, network, addr string) (net.Conn, error) // to it, whatever addr is
	accepts  atomic.Int64
	requests atomic.Int64
}

// serve starts a server that speaks h1, https1 or h2, and closes it with the
// test.
func serve(t testing.TB, mode string, h http.HandlerFunc) *server {
	t.Helper()
	s := newServer(h)
	s.Listener = countingListener{aside(t, s.Listener), &s.accepts}
	s.start(t, mode)
	return s
}

// serveInMemory is serve on m.
func serveInMemory(t testing.TB, m *memory, mode string, h http.HandlerFunc) *server {
	t.Helper()
	s := newServer(h)
	s.dial = m.DialContext
	s.Listener.Close()
	s.Listener = countingListener{m, &s.accepts}
	s.start(t, mode)
	return s
}

func newServer(h http.HandlerFunc) *server {
	s := new(server)
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		h(w, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // surplus dials end in handshakes
	s.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.Listener.Addr().String())
	}
	return s
}

func (s *server) start(t testing.TB, mode string) {
	switch mode {
	case "h1":
		s.Start()
	default:
		s.EnableHTTP2 = mode == "h2"
		s.TLS = &tls.Config{Certificates: []tls.Certificate{identity()}, CurvePreferences: curves}
		s.StartTLS()
	}
	t.Cleanup(s.Close)
}

// aside moves the listener to an address of its own where the system has more than
// one on loopback: a client of another test, whose server was at the same port
// before, would be counted as well.
func aside(t testing.TB, l net.Listener) net.Listener {
	t.Helper()
	if runtime.GOOS != "linux" {
		return l
	}
	own, err := net.Listen("tcp", "127.83.79.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return own
}

type countingListener struct {
	net.Listener
	n *atomic.Int64
}

func (l countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.n.Add(1)
	}
	return c, err
}

// likeDefault is an http.Transport with the pool of http.DefaultTransport, for
// which every host is s.
func (s *server) likeDefault(t testing.TB) *http.Transport {
	t.Helper()
	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.Proxy = nil
	tr.DialContext = s.dial
	if s.TLS != nil {
		roots := s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
		tr.TLSClientConfig = &tls.Config{RootCAs: roots, ServerName: "example.com"}
	}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// stayOpen is a transport.Transport for which every host is s.
func (s *server) stayOpen(t *testing.T) *transport.Transport {
	t.Helper()
	tmpl := s.likeDefault(t)
	tmpl.MaxIdleConns = 0
	tr, err := transport.New(transport.Config{Template: tmpl})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close() })
	return tr
}

// watch wraps base.
func watch(t testing.TB, base http.RoundTripper) *shadow.Transport {
	t.Helper()
	sh, err := shadow.New(shadow.Config{Base: base})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sh.Close() })
	return sh
}

// get makes a GET and reads the body to its end.
func get(t *testing.T, rt http.RoundTripper, url string) {
	resp, err := (&http.Client{Transport: rt}).Get(url)
	if err != nil {
		t.Error(err)
		return
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Error(err)
	}
}

// settled waits until shadow has counted the requests and connections that the
// server has, which dials that nobody waits for any more may still bring, and
// returns the figures.
func settled(t *testing.T, s *server, sh *shadow.Transport) shadow.Stats {
	t.Helper()
	var stats shadow.Stats
	wait(t, func() bool {
		stats = sh.Stats()
		return int64(stats.Opened) == s.accepts.Load() && int64(stats.Sent) == s.requests.Load()
	}, func() string {
		return fmt.Sprintf("shadow counts %d requests sent and %d connections opened, the server %d and %d", stats.Sent, stats.Opened, s.requests.Load(), s.accepts.Load())
	})
	return stats
}

// wait waits until what is true.
func wait(t *testing.T, what func() bool, otherwise func() string) {
	t.Helper()
	late := time.After(30 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !what() {
		select {
		case <-late:
			t.Fatal(otherwise())
		case <-tick.C:
		}
	}
}

// named is the server's URL with a name that a template's dial function knows.
func (s *server) named() string {
	u, err := url.Parse(s.URL)
	if err != nil {
		panic(err)
	}
	u.Host = "example.com:" + u.Port()
	return u.String()
}
