package netconn

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/stayopen-go/stayopen/pool"
)

// Close gives the connection back to the pool if it is clean, as the package's
// documentation explains, and closes it otherwise. Calls that are under way then
// return with net.ErrClosed.
//
// From then on every call but Close fails with net.ErrClosed and does not touch
// the connection, whoever uses it. A second Close, or one after Discard or
// Detach, does nothing and returns nil.
func (c *Conn) Close() error {
	calls, first := c.finish()
	if !first {
		return nil
	}
	if why := c.judge(calls); why != "" {
		return c.wire.drop(c.lease, why)
	}
	c.lease.Release()
	return nil
}

// judge says why the connection cannot be given back, and is empty if it can.
func (c *Conn) judge(calls int64) pool.Reason {
	switch {
	case calls > 0:
		return Busy
	case c.failed.Load():
		return Failed
	case c.halfClosed.Load():
		return HalfClosed
	case c.unanswered.Load() && !c.pool.oneWay:
		return Unanswered
	case c.timed.Load() && c.wire.SetDeadline(time.Time{}) != nil:
		return PeerClosed
	}
	return c.wire.look()
}

// Discard closes the connection, clean or not: for a caller that gives up in the
// midst of an exchange. After Close it does nothing and returns nil.
func (c *Conn) Discard() error {
	if _, first := c.finish(); !first {
		return nil
	}
	return c.wire.drop(c.lease, Discarded)
}

// Detach takes the connection out of the pool for good and returns it, as
// Config.Dial brought it. It is the caller's now, and counts against no limit. Its
// deadlines stay, and calls that are under way go on. After Close the error is
// net.ErrClosed. A connection that Pool.Close has closed stays closed.
func (c *Conn) Detach() (net.Conn, error) {
	if _, first := c.finish(); !first {
		return nil, c.errClosed("detach")
	}
	c.lease.Detach()
	c.wire.closing.Do(func() { c.pool.count.detached.Add(1) })
	return c.wire.Conn, nil
}

// CloseWrite ends what this side sends, if the connection can do that: TCP and
// TLS can. Otherwise the error is errors.ErrUnsupported, wrapped. Close then
// closes the connection.
func (c *Conn) CloseWrite() error {
	if !c.begin() {
		return c.errClosed("close")
	}
	defer c.end()
	half, ok := c.wire.Conn.(interface{ CloseWrite() error })
	if !ok {
		return fmt.Errorf("netconn: CloseWrite on a %T: %w", c.wire.Conn, errors.ErrUnsupported)
	}
	c.halfClosed.Store(true)
	err := half.CloseWrite()
	c.note(err)
	return err
}
