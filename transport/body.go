package transport

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/stayopen-go/stayopen/pool"
)

// What a body that was closed early may cost to save its connection. The
// bounds are those of Go 1.27's net/http (golang/go#77370).
const (
	drainBytes = 256 << 10
	drainTime  = 50 * time.Millisecond
	// drainGrace is how long Close itself waits, so that in the usual case,
	// when the rest is here already, the very next request finds the
	// connection. After that the drain goes on in the background.
	drainGrace = 2 * time.Millisecond
)

// body is a response's body. Its end, by io.EOF, an error or Close, is the end
// of the lease.
type body struct {
	a    *attempt
	rc   io.ReadCloser // net/http's
	left int64         // bytes still to come; -1 if unknown. Owned by the reader
	last bool          // the connection ends with this response

	mu     sync.Mutex // guards what follows; nothing is called under it
	ended  bool       // the lease has ended
	closed bool       // Close was called
}

func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	closed := b.closed
	b.mu.Unlock()
	if closed {
		return 0, errReadAfterClose
	}
	n, err := b.rc.Read(p)
	if b.left > 0 {
		b.left -= int64(n)
	}
	switch err {
	case nil:
	case io.EOF:
		b.end(true)
	default:
		err = b.failed(err)
	}
	return n, err
}

// failed deals with a Read that went wrong.
func (b *body) failed(err error) error {
	a := b.a
	if errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(a.x.ctx)) {
		if cause := a.canceled(); cause != nil {
			err = cause
		}
	}
	if a.conn.http2 || a.conn.cc.Err() != nil {
		b.end(false)
	}
	// Otherwise the connection is sound and what was read is not (gzip's
	// checksum, say): Close decides.
	return err
}

// Close ends the exchange. A body that was not read to its end is read on for
// a moment, off the caller's path if that takes time, so that the connection
// can be used again.
func (b *body) Close() error {
	b.mu.Lock()
	first, ended := !b.closed, b.ended
	b.closed = true
	b.mu.Unlock()
	switch {
	case !first:
		return nil
	case ended:
		return b.rc.Close()
	case b.a.conn.http2: // the stream is reset, and the connection is none the worse
		err := b.rc.Close()
		b.end(true)
		return err
	case b.worthDraining():
		b.drain()
		return nil
	}
	b.abandon(reasonAbandoned)
	return nil
}

func (b *body) worthDraining() bool {
	return !b.last && !b.tunnel() && b.left <= drainBytes && b.a.x.canceled() == nil
}

// tunnel reports whether the body is the far end of a tunnel (RFC 9110, section
// 9.3.6), which is closed in an orderly way and never used again.
func (b *body) tunnel() bool { return b.a.x.req.Method == http.MethodConnect }

// abandon ends the exchange and with it the connection, by RST: what is still
// on its way is unwanted.
func (b *body) abandon(why reason) {
	c := b.a.conn
	if b.tunnel() {
		c.because(reasonUpgrade)
	} else {
		c.because(why)
		c.wire.reset.Store(true)
	}
	b.rc.Close()
	b.end(false)
}

func (b *body) drain() {
	x := b.a.x
	x.over()                    // for the caller the request is
	done := make(chan struct{}) // closed by the goroutine, which the timer ends at the latest
	timer := time.AfterFunc(drainTime, func() { b.abandon(reasonAbandoned) })
	go func() {
		defer close(done)
		n, err := io.Copy(io.Discard, io.LimitReader(b.rc, drainBytes+1))
		x.t.count.drained.Add(uint64(n))
		if !timer.Stop() {
			return
		}
		if err != nil || n > drainBytes {
			b.abandon(reasonAbandoned)
			return
		}
		b.rc.Close()
		b.end(true)
	}()
	grace := time.NewTimer(drainGrace)
	defer grace.Stop()
	select {
	case <-done:
	case <-grace.C:
	}
}

// end ends the lease; sound says that the response was complete, or that the
// connection does not suffer from its being cut off.
func (b *body) end(sound bool) {
	b.mu.Lock()
	ended := b.ended
	b.ended = true
	b.mu.Unlock()
	if ended {
		return
	}
	a := b.a
	reusable := sound && !b.last && (a.conn.http2 || a.conn.cc.Available() > 0)
	a.x.leave(reusable)
	switch {
	case reusable, a.conn.http2 && !a.x.t.singleUse:
		a.lease.Release()
	case sound:
		a.lease.Retire(pool.Reason(reasonLast))
	case a.conn.wire.broke.Load():
		a.lease.Retire(pool.Reason(reasonPeer))
	default:
		a.lease.Retire(pool.Reason(reasonBroken))
	}
	a.x.over()
}
