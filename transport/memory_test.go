package transport_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// memory is a network without sockets: what is dialed on it comes out of its
// Accept. In a synctest bubble a connection that waits for data lets the clock
// run on, which one on a socket does not.
type memory struct {
	accept chan net.Conn
	down   chan struct{} // closed by Close
	once   sync.Once

	open, most atomic.Int64 // connections that clients hold, now and at most
}

func newMemory() *memory {
	return &memory{accept: make(chan net.Conn), down: make(chan struct{})}
}

// DialContext connects to the listener, whatever addr is.
func (m *memory) DialContext(ctx context.Context, _, addr string) (net.Conn, error) {
	there, here := newStream(), newStream()
	select {
	case m.accept <- &memoryConn{in: there, out: here, closed: func() {}}:
	case <-m.down:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	raise(&m.most, m.open.Add(1))
	return &memoryConn{in: here, out: there, closed: func() { m.open.Add(-1) }}, nil
}

// raise keeps the highest value that it is given.
func raise(most *atomic.Int64, n int64) {
	for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
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

// serve is serve on m, which the template that it returns dials for any host.
func (m *memory) serve(t *testing.T, mode string, h http.Handler) (*server, *http.Transport) {
	t.Helper()
	s := &server{answered: make(map[net.Conn]bool)}
	s.Server = httptest.NewUnstartedServer(h)
	s.Listener.Close()
	s.Listener = countingListener{m, &s.accepts}
	s.EnableHTTP2 = mode == "h2"
	if mode == "h1" {
		s.Start()
	} else {
		s.TLS = &tls.Config{Certificates: []tls.Certificate{peerIdentity().cert}, CurvePreferences: peerCurves}
		s.StartTLS()
	}
	t.Cleanup(s.Close)
	tmpl := s.template(mode)
	tmpl.DialContext = m.DialContext
	return s, tmpl
}

// memoryConn is one end of a connection. Writing to it never waits, as on a
// socket with room in its buffers.
type memoryConn struct {
	in, out *stream
	once    sync.Once
	closed  func()
}

func (c *memoryConn) Read(p []byte) (int, error)  { return c.in.read(p) }
func (c *memoryConn) Write(p []byte) (int, error) { return c.out.write(p) }

func (c *memoryConn) Close() error {
	c.once.Do(func() {
		c.in.end(net.ErrClosed)
		c.out.end(io.EOF)
		c.closed()
	})
	return nil
}

func (c *memoryConn) LocalAddr() net.Addr                { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2} }
func (c *memoryConn) RemoteAddr() net.Addr               { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 3} }
func (c *memoryConn) SetDeadline(t time.Time) error      { return c.SetReadDeadline(t) }
func (c *memoryConn) SetWriteDeadline(t time.Time) error { return nil }

func (c *memoryConn) SetReadDeadline(t time.Time) error {
	c.in.setDeadline(t)
	return nil
}

// stream is one direction of a connection.
type stream struct {
	mu      sync.Mutex
	data    []byte
	err     error         // of a read when there is no data, or at once if it is net.ErrClosed
	changed chan struct{} // closed, and replaced, when any of this changes
	expired bool          // the deadline has passed
	timer   *time.Timer
}

func newStream() *stream { return &stream{changed: make(chan struct{})} }

// change does something to s and wakes who reads.
func (s *stream) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *stream) read(p []byte) (int, error) {
	for {
		n, changed, err := s.tryRead(p)
		if changed == nil {
			return n, err
		}
		<-changed
	}
}

// tryRead reads, or says what to wait for.
func (s *stream) tryRead(p []byte) (int, <-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err == net.ErrClosed:
		return 0, nil, s.err
	case s.expired:
		return 0, nil, os.ErrDeadlineExceeded
	case len(s.data) > 0:
		n := copy(p, s.data)
		s.data = s.data[n:]
		return n, nil, nil
	case s.err != nil:
		return 0, nil, s.err
	}
	return 0, s.changed, nil
}

func (s *stream) write(p []byte) (n int, err error) {
	s.change(func() {
		if s.err != nil {
			err = io.ErrClosedPipe
			return
		}
		s.data = append(s.data, p...)
		n = len(p)
	})
	return n, err
}

func (s *stream) end(err error) {
	s.change(func() {
		if s.timer != nil {
			s.timer.Stop()
		}
		if s.err != net.ErrClosed {
			s.err = err
		}
	})
}

func (s *stream) setDeadline(t time.Time) {
	s.change(func() {
		if s.timer != nil {
			s.timer.Stop()
		}
		s.timer, s.expired = nil, !t.IsZero() && !t.After(time.Now())
		if s.expired || t.IsZero() {
			return
		}
		var timer *time.Timer
		timer = time.AfterFunc(time.Until(t), func() {
			s.change(func() { s.expired = s.expired || s.timer == timer })
		})
		s.timer = timer
	})
}
