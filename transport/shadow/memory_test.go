package shadow_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http/httptrace"
	"os"
	"sync"
	"time"
)

// memory is a network without sockets: what is dialed on it comes out of its
// Accept, after as long as delay says. In a synctest bubble, where processors
// take no time, nothing else on it takes any.
type memory struct {
	delay  func() time.Duration
	accept chan net.Conn
	down   chan struct{} // closed by Close
	once   sync.Once
}

func newMemory(delay func() time.Duration) *memory {
	return &memory{delay: delay, accept: make(chan net.Conn), down: make(chan struct{})}
}

// always is a delay that is the same for all.
func always(d time.Duration) func() time.Duration { return func() time.Duration { return d } }

// DialContext connects to the listener, whatever addr is, and calls the hooks
// that package net would.
func (m *memory) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	trace := httptrace.ContextClientTrace(ctx)
	if trace != nil && trace.ConnectStart != nil {
		trace.ConnectStart(network, addr)
	}
	c, err := m.dial(ctx)
	if trace != nil && trace.ConnectDone != nil {
		trace.ConnectDone(network, addr, err)
	}
	return c, err
}

func (m *memory) dial(ctx context.Context) (net.Conn, error) {
	select {
	case <-time.After(m.delay()):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	there, here := newStream(), newStream()
	select {
	case m.accept <- &memoryConn{in: there, out: here}:
		return &memoryConn{in: here, out: there}, nil
	case <-m.down:
		return nil, net.ErrClosed
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

func (m *memory) Addr() net.Addr { return memoryAddr }

var memoryAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}

// memoryConn is one end of a connection. Writing to it never waits, as on a
// socket with room in its buffers.
type memoryConn struct{ in, out *stream }

func (c *memoryConn) Read(p []byte) (int, error)       { return c.in.read(p) }
func (c *memoryConn) Write(p []byte) (int, error)      { return c.out.write(p) }
func (c *memoryConn) LocalAddr() net.Addr              { return memoryAddr }
func (c *memoryConn) RemoteAddr() net.Addr             { return memoryAddr }
func (c *memoryConn) SetDeadline(t time.Time) error    { return c.SetReadDeadline(t) }
func (*memoryConn) SetWriteDeadline(_ time.Time) error { return nil }

func (c *memoryConn) SetReadDeadline(t time.Time) error {
	c.in.setDeadline(t)
	return nil
}

func (c *memoryConn) Close() error {
	c.in.end(net.ErrClosed)
	c.out.end(io.EOF)
	return nil
}

// stream is one direction of a connection.
type stream struct {
	mu      sync.Mutex
	changed *sync.Cond // any of this has
	data    bytes.Buffer
	err     error // net.ErrClosed: the reader closed it; otherwise it is for when data is empty
	until   time.Time
	timer   *time.Timer // wakes the reader at that time
}

func newStream() *stream {
	s := new(stream)
	s.changed = sync.NewCond(&s.mu)
	return s
}

func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch late := !s.until.IsZero() && !s.until.After(time.Now()); {
		case s.err == net.ErrClosed:
			return 0, s.err
		case late:
			return 0, os.ErrDeadlineExceeded
		case s.data.Len() > 0:
			return s.data.Read(p)
		case s.err != nil:
			return 0, s.err
		}
		s.changed.Wait()
	}
}

func (s *stream) write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, io.ErrClosedPipe
	}
	s.changed.Broadcast()
	return s.data.Write(p)
}

func (s *stream) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != net.ErrClosed {
		s.err = err
	}
	if s.timer != nil {
		s.timer.Stop()
	}
	s.changed.Broadcast()
}

func (s *stream) setDeadline(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until = t
	if s.timer != nil {
		s.timer.Stop()
	}
	if left := time.Until(t); left > 0 {
		s.timer = time.AfterFunc(left, s.changed.Broadcast)
	}
	s.changed.Broadcast()
}
