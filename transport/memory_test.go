package transport_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// memory is a network without sockets: what is dialed on it comes out of its
// Accept. In a synctest bubble a connection that waits for data lets the clock
// run on, which one on a socket does not.
type memory struct {
	accept chan net.Conn
	down   chan struct{} // closed by Close
	once   sync.Once
}

func newMemory() *memory {
	return &memory{accept: make(chan net.Conn), down: make(chan struct{})}
}

// DialContext connects to the listener, whatever addr is.
func (m *memory) DialContext(ctx context.Context, _, addr string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case m.accept <- there:
		return here, nil
	case <-m.down:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.accept:
		return c, nil
	case <-m.down:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error {
	m.once.Do(func() { close(m.down) })
	return nil
}

func (m *memory) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// serveInMemory is serve on a network of its own, which the template that it
// returns dials.
func serveInMemory(t *testing.T, mode string, h http.Handler) (*server, *http.Transport) {
	t.Helper()
	m := newMemory()
	s := &server{answered: make(map[net.Conn]bool)}
	s.Server = httptest.NewUnstartedServer(h)
	s.Listener.Close()
	s.Listener = countingListener{m, &s.accepts}
	// A pipe has no buffer: a ticket that the server sends unasked would wait
	// for a client that is itself about to send.
	s.TLS = &tls.Config{Certificates: []tls.Certificate{peerIdentity().cert}, CurvePreferences: peerCurves, SessionTicketsDisabled: true}
	s.EnableHTTP2 = mode == "h2"
	if mode == "h1" {
		s.TLS = nil
		s.Start()
	} else {
		s.StartTLS()
	}
	t.Cleanup(s.Close)
	tmpl := s.template(mode)
	tmpl.DialContext = m.DialContext
	return s, tmpl
}
