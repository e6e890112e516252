package transport_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stayopen-go/stayopen/transport"
)

// modes are the ways in which every test of the exchange itself runs.
var modes = []string{"h1", "https1", "h2"}

func inModes(t *testing.T, test func(t *testing.T, mode string)) {
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) { test(t, mode) })
	}
}

// server is a net/http server that counts for itself what the transport claims.
type server struct {
	*httptest.Server
	accepts   atomic.Int64 // connections accepted
	answers   atomic.Int64 // responses whose handler returned normally
	full      atomic.Int64 // TLS handshakes
	resumed   atomic.Int64 // those that resumed a session
	mu        sync.Mutex   // guards answered
	answered  map[net.Conn]bool
	closeOnce sync.Once
}

type connKey struct{}

// serve starts a server in mode and closes it with the test.
func serve(t testing.TB, mode string, h http.Handler) *server {
	t.Helper()
	return serveWith(t, mode, h, func(*http.Server) {})
}

// serveWith is serve, with a word in the server's configuration.
func serveWith(t testing.TB, mode string, h http.Handler, configure func(*http.Server)) *server {
	t.Helper()
	return serveAt(t, "127.0.0.1", mode, h, configure)
}

// serveAt is serveWith, at an address of this host's.
func serveAt(t testing.TB, addr, mode string, h http.Handler, configure func(*http.Server)) *server {
	t.Helper()
	s := &server{answered: make(map[net.Conn]bool)}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r)
		s.answer(r)
	}))
	configure(s.Config)
	s.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, c)
	}
	s.listen(t, addr)
	switch mode {
	case "h1":
		s.Start()
	case "https1", "h2":
		s.TLS = &tls.Config{Certificates: []tls.Certificate{peerIdentity().cert}, CurvePreferences: peerCurves, VerifyConnection: s.handshake}
		s.EnableHTTP2 = mode == "h2"
		s.StartTLS()
	case "h2c":
		p := new(http.Protocols)
		p.SetUnencryptedHTTP2(true)
		s.Config.Protocols = p
		s.Start()
	default:
		t.Fatalf("unknown mode %q", mode)
	}
	t.Cleanup(s.Close)
	return s
}

// serveLimited is an HTTP/2 server that allows limit concurrent streams.
func serveLimited(t *testing.T, limit int, h http.Handler) *server {
	t.Helper()
	return serveWith(t, "h2", h, func(s *http.Server) { s.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: limit} })
}

// listen replaces httptest's listener by one at the address, that counts.
func (s *server) listen(t testing.TB, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(addr, "0"))
	if err != nil {
		t.Fatal(err)
	}
	s.Listener.Close()
	s.Listener = countingListener{l, &s.accepts}
}

// answer counts a response on r's connection.
func (s *server) answer(r *http.Request) {
	s.answers.Add(1)
	s.mu.Lock()
	s.answered[r.Context().Value(connKey{}).(net.Conn)] = true
	s.mu.Unlock()
}

// handshake counts a TLS handshake that the server agrees to.
func (s *server) handshake(state tls.ConnectionState) error {
	if state.DidResume {
		s.resumed.Add(1)
	} else {
		s.full.Add(1)
	}
	return nil
}

// served is the number of connections with at least one answer.
func (s *server) served() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.answered)
}

func (s *server) Close() { s.closeOnce.Do(s.Server.Close) }

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

// template is an *http.Transport that trusts s and speaks its mode.
func (s *server) template(mode string) *http.Transport {
	tr := &http.Transport{}
	if s.TLS != nil {
		tr.TLSClientConfig = &tls.Config{RootCAs: peerIdentity().roots, CurvePreferences: peerCurves}
		tr.ForceAttemptHTTP2 = mode == "h2"
	}
	if mode == "h2c" {
		tr.Protocols = new(http.Protocols)
		tr.Protocols.SetUnencryptedHTTP2(true)
	}
	return tr
}

// newTransport makes a transport that is closed with the test.
func newTransport(t *testing.T, cfg transport.Config) *transport.Transport {
	t.Helper()
	tr, err := transport.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close() })
	return tr
}

// forServer is a transport for s in its mode, and a client with it.
func forServer(t *testing.T, s *server, mode string) (*transport.Transport, *http.Client) {
	t.Helper()
	tr := newTransport(t, transport.Config{Template: s.template(mode)})
	return tr, &http.Client{Transport: tr}
}

// get makes a GET and reads the body to its end.
func get(c *http.Client, url string) (string, *http.Response, error) {
	resp, err := c.Get(url)
	if err != nil {
		return "", nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), resp, err
}

func mustGet(t *testing.T, c *http.Client, url string) (string, *http.Response) {
	t.Helper()
	body, resp, err := get(c, url)
	if err != nil {
		t.Fatalf("GET %s: %v", url, err)
	}
	return body, resp
}
