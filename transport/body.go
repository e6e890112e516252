package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stayopen-go/stayopen/transport/internal/model"
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
	last bool          // the connection ends with this response

	decoded bool         // net/http undoes gzip
	left    atomic.Int64 // bytes still to come; negative if unknown

	mu      sync.Mutex // guards what follows; nothing is called under it
	ended   bool       // the lease has ended
	closed  bool       // Close was called
	reading int        // calls of Read under way
}

func (b *body) Read(p []byte) (int, error) {
	if !b.beginRead() {
		if b.a.conn.http2 {
			return b.rc.Read(p) // has an error of its own for that
		}
		return 0, errReadAfterClose
	}
	n, err := b.rc.Read(p)
	b.endRead(n)
	switch err {
	case nil:
	case io.EOF:
		b.end(true)
	default:
		err = b.failed(err)
	}
	return n, err
}

func (b *body) beginRead() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.reading++
	return true
}

func (b *body) endRead(n int) {
	if b.left.Load() > 0 {
		b.left.Add(int64(-n))
	}
	b.mu.Lock()
	b.reading--
	b.mu.Unlock()
}

// failed deals with a Read that went wrong.
func (b *body) failed(err error) error {
	a := b.a
	if errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(a.x.ctx)) {
		if cause := a.canceled(); cause != nil {
			err = cause
		}
	}
	if a.x.t.closing.Load() && a.conn.cc.Err() != nil {
		err = fmt.Errorf("%w: %w", ErrClosed, err)
	}
	if !b.decoded || a.conn.http2 || a.conn.cc.Err() != nil {
		b.end(false)
	}
	// Otherwise it may be gzip's checksum alone that is wrong, and the
	// connection be sound: Close decides.
	return err
}

// Close ends the exchange. A body that was not read to its end is read on for
// a moment, off the caller's path if that takes time, so that the connection
// can be used again.
func (b *body) Close() error {
	b.mu.Lock()
	first, ended, reading := !b.closed, b.ended, b.reading > 0
	b.closed = true
	b.mu.Unlock()
	if first && !ended && b.left.Load() != 0 {
		b.a.x.compared.end(model.Abandoned, b.left.Load()) // others would not read on
	}
	switch {
	case !first:
		return nil
	case ended:
		return b.rc.Close()
	case b.a.conn.http2: // the stream is reset, and the connection is none the worse
		err := b.rc.Close()
		b.end(true)
		return err
	case b.a.conn.cc.Available() > 0: // it was read to its end, beneath a gzip that is broken
		err := b.rc.Close()
		b.end(true)
		return err
	case !reading && b.worthDraining(): // Close ends a Read under way, now
		b.drain()
		return nil
	}
	b.abandon(reasonAbandoned)
	return nil
}

func (b *body) worthDraining() bool {
	return !b.last && !b.tunnel() && b.left.Load() <= drainBytes && b.a.x.canceled() == nil
}

// tunnel reports whether the body is the far end of a tunnel (RFC 9110, section
// 9.3.6), which is closed in an orderly way and never used again.
func (b *body) tunnel() bool { return b.a.x.req.Method == http.MethodConnect }

// abandon ends the exchange and with it the connection, by RST: what is still
// on its way is unwanted.
func (b *body) abandon(why reason) {
	if b.tunnel() {
		b.a.x.spoil(reasonUpgrade, false)
	} else {
		b.a.x.spoil(why, true)
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
	a.x.compared.finish(sound)
	if a.conn.http2 && a.x.body != nil {
		// The stream lives until the request has been sent, too, which may be
		// after the response's end (RFC 9113, section 8.1).
		a.x.body.watched.whenClosed(func() { b.release(sound) })
	} else {
		b.release(sound)
	}
	a.x.over()
}

// release ends the lease.
func (b *body) release(sound bool) {
	a := b.a
	reusable := sound && !b.last && (a.conn.http2 || a.conn.cc.Available() > 0)
	a.x.leave(reusable)
	if !reusable {
		a.leg.lost()
	}
	switch {
	case reusable && !a.conn.http2:
		a.release()
	case a.conn.http2 && (reusable || !a.x.t.singleUse):
		a.lease.Release()
	case sound:
		a.lease.Retire(a.conn.loss(reasonLast))
	case a.conn.wire.broke.Load():
		a.lease.Retire(a.conn.loss(reasonPeer))
	default:
		a.lease.Retire(a.conn.loss(reasonBroken))
	}
}
