package transport_test

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
)

// tap dials for a transport and keeps hold of what it dialed.
type tap struct {
	cut   bool       // connections refuse to write from the start
	mu    sync.Mutex // guards conns
	conns []*tapped  // in the order of dialing
}

// tapped is a connection that tells when it is closed, and can refuse to write.
// Nobody can see that there is a *net.TCPConn in it.
type tapped struct {
	net.Conn
	cut    atomic.Bool // Write fails, with nothing written
	once   sync.Once
	closed chan struct{} // closed by Close
}

// on makes tmpl dial through a new tap.
func (tap *tap) on(tmpl *http.Transport) *http.Transport {
	tmpl.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		tc := &tapped{Conn: c, closed: make(chan struct{})}
		tc.cut.Store(tap.cut)
		tap.mu.Lock()
		defer tap.mu.Unlock()
		tap.conns = append(tap.conns, tc)
		return tc, nil
	}
	return tmpl
}

func (tap *tap) conn(n int) *tapped {
	tap.mu.Lock()
	defer tap.mu.Unlock()
	return tap.conns[n]
}

func (c *tapped) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

func (c *tapped) Write(p []byte) (int, error) {
	if c.cut.Load() {
		return 0, &net.OpError{Op: "write", Net: "tcp", Err: syscall.EPIPE}
	}
	return c.Conn.Write(p)
}

func (c *tapped) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
