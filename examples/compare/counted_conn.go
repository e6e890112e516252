package main

import (
	"errors"
	"net"
	"sync/atomic"
)

// countedConn is a server's connection that notes which side ended it first.
type countedConn struct {
	*net.TCPConn
	target   *target
	answered atomic.Bool
	// ended is set by whichever comes first, the client's FIN or RST or our
	// own FIN.
	ended  atomic.Bool
	closed atomic.Bool
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	c.note(err)
	return n, err
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.TCPConn.Write(p)
	c.note(err)
	return n, err
}

func (c *countedConn) CloseWrite() error {
	c.ended.Store(true)
	return c.TCPConn.CloseWrite()
}

func (c *countedConn) Close() error {
	c.ended.Store(true)
	if c.closed.CompareAndSwap(false, true) {
		// After the close, so that a tally of none open means that the
		// kernel has them all.
		defer c.target.open.Add(-1)
	}
	return c.TCPConn.Close()
}

// note looks for the client's end of the connection in the outcome of a read
// or a write.
func (c *countedConn) note(err error) {
	if err == nil || !endedByPeer(err) {
		return
	}
	if c.ended.CompareAndSwap(false, true) {
		c.target.closedByPeer.Add(1)
	}
}

// endedByPeer reports whether err came from the other side: everything does
// but our own deadline and our own close.
func endedByPeer(err error) bool {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return false
	}
	return !errors.Is(err, net.ErrClosed)
}
