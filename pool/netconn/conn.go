package netconn

import (
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/stayopen-go/stayopen/pool"
)

// Conn is a connection on loan from a [Pool], as DialContext returns it. It is
// used like any net.Conn, by several goroutines at once if they like, and has to
// be closed, or discarded or detached.
//
// It has no SyscallConn, NetConn or File: what is done to the connection past the
// methods of Conn could be meant for this caller and meet the next. Options of
// the socket are for Config.Dial to set, and Detach hands out everything.
type Conn struct {
	pool   *Pool
	lease  *pool.Lease[key, *wire]
	wire   *wire
	reused bool

	// calls is the number of calls under way, and has the bit over set as soon as
	// Close, Discard or Detach was called. No call begins after that, so whoever
	// sets it and finds no call is alone with the connection.
	calls atomic.Int64

	failed     atomic.Bool // a call failed, or the peer's end was read
	unanswered atomic.Bool // a Write came after the last Read
	halfClosed atomic.Bool // CloseWrite was called
	timed      atomic.Bool // a deadline was set
}

const over = 1 << 62

// begin reports whether a call may touch the connection. If so, end ends it.
func (c *Conn) begin() bool {
	if c.calls.Add(1)&over == 0 {
		return true
	}
	c.end()
	return false
}

func (c *Conn) end() { c.calls.Add(-1) }

// finish ends the loan, and returns how many calls are under way. It returns
// false if that was done before.
func (c *Conn) finish() (calls int64, first bool) {
	was := c.calls.Or(over)
	return was &^ over, was&over == 0
}

// errClosed is what a call gets that comes after Close.
func (c *Conn) errClosed(op string) error {
	return &net.OpError{Op: op, Net: c.lease.Conn().Key().network, Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: net.ErrClosed}
}

// note keeps in mind that a call failed.
func (c *Conn) note(err error) {
	if err != nil {
		c.failed.Store(true)
	}
}

// Reused reports whether the connection had been handed out before.
func (c *Conn) Reused() bool { return c.reused }

// LocalAddr returns the local address, also after Close.
func (c *Conn) LocalAddr() net.Addr { return c.wire.LocalAddr() }

// RemoteAddr returns the peer's address, also after Close.
func (c *Conn) RemoteAddr() net.Addr { return c.wire.RemoteAddr() }

// Read reads from the connection. After Close it fails with net.ErrClosed.
func (c *Conn) Read(p []byte) (int, error) {
	if !c.begin() {
		return 0, c.errClosed("read")
	}
	defer c.end()
	n, err := c.wire.Read(p)
	if n > 0 {
		c.unanswered.Store(false)
	}
	c.note(err)
	return n, err
}

// Write writes to the connection. After Close it fails with net.ErrClosed.
func (c *Conn) Write(p []byte) (int, error) {
	if !c.begin() {
		return 0, c.errClosed("write")
	}
	defer c.end()
	if len(p) > 0 {
		c.unanswered.Store(true)
	}
	n, err := c.wire.Write(p)
	c.note(err)
	return n, err
}

// ReadFrom copies from r until EOF or an error, by sendfile or splice where the
// connection beneath does.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) {
	if !c.begin() {
		return 0, c.errClosed("write")
	}
	defer c.end()
	c.unanswered.Store(true)
	n, err := copyTo(c.wire.Conn, r)
	c.note(err) // r's, perhaps, but then something is missing here
	return n, err
}

func copyTo(w net.Conn, r io.Reader) (int64, error) {
	if rf, ok := w.(io.ReaderFrom); ok {
		return rf.ReadFrom(r)
	}
	return io.Copy(struct{ io.Writer }{w}, r)
}

// WriteTo copies to w until EOF or an error, by splice where the connection
// beneath does. The connection is of no use to others after that.
func (c *Conn) WriteTo(w io.Writer) (int64, error) {
	if !c.begin() {
		return 0, c.errClosed("read")
	}
	defer c.end()
	c.failed.Store(true)
	if wt, ok := c.wire.Conn.(io.WriterTo); ok {
		return wt.WriteTo(w)
	}
	return io.Copy(w, struct{ io.Reader }{c.wire.Conn})
}

// SetDeadline sets both deadlines. None outlives Close.
func (c *Conn) SetDeadline(t time.Time) error { return c.setDeadline(net.Conn.SetDeadline, t) }

// SetReadDeadline sets the deadline of reads.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(net.Conn.SetReadDeadline, t) }

// SetWriteDeadline sets the deadline of writes.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.setDeadline(net.Conn.SetWriteDeadline, t)
}

func (c *Conn) setDeadline(set func(net.Conn, time.Time) error, t time.Time) error {
	if !c.begin() {
		return c.errClosed("set")
	}
	defer c.end()
	c.timed.Store(true)
	err := set(c.wire.Conn, t)
	c.note(err)
	return err
}
