package dialer

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Conn is a TCP connection that counts what passes through it and records how
// it was closed. It is a *net.TCPConn in all else, and like that safe for
// concurrent use.
//
// What is done to the connection past the methods of Conn, through NetConn, File
// or SyscallConn, is not counted and may not show in the record; SO_LINGER does
// show. The embedded field is not for use of its own: NetConn returns it.
type Conn struct {
	*net.TCPConn

	raw     syscall.RawConn
	lease   *lease          // its count in the ledger; nil if it was not dialed from Sources
	dropped runtime.Cleanup // gives the count back for a connection that is lost without Close
	seat    *seat           // its count in the Listener; nil if none accepted it
	opened  time.Time

	read, written atomic.Int64
	lent          atomic.Bool // the socket is in other hands, too, which may set options or send our FIN
	broken        atomic.Bool // a Read met an error that ended the connection, and took it out of the socket

	// mu guards the rest. Under it only system calls are made that do not wait.
	mu      sync.Mutex
	fin     finOrder
	mode    CloseMode
	onClose func(CloseRecord)
	linger  int  // seconds, as SetLinger was told last, negative if it is off; true unless lent
	closed  bool // Close or Reset was called
	final   bool // the record is complete
	record  CloseRecord
	remains *remains // from Close to the end of the socket, where that is not the same
}

// Wrap makes a Conn of a TCP connection that something else dialed or accepted.
// It counts from here on. From now on the connection should be used through the
// Conn only.
func Wrap(c *net.TCPConn) *Conn {
	w := newConn(c, nil, nil)
	w.lent.Store(true)
	return w
}

// newConn makes a Conn. raw is tc's, if it is at hand.
func newConn(tc *net.TCPConn, raw syscall.RawConn, l *lease) *Conn {
	c := &Conn{TCPConn: tc, raw: raw, lease: l, opened: time.Now(), linger: -1}
	if raw == nil {
		c.raw, _ = tc.SyscallConn() // fails for a nil connection only
	}
	if l != nil {
		// On the TCPConn, not on c: it may be kept through NetConn. When it is
		// lost, package net closes the socket.
		c.dropped = runtime.AddCleanup(tc, (*lease).lost, l)
	}
	return c
}

// NetConn returns the *net.TCPConn beneath.
func (c *Conn) NetConn() net.Conn {
	c.lent.Store(true)
	return c.TCPConn
}

// SyscallConn is net.TCPConn's, but for what package os alone finds in that: by it,
// io.Copy from a file would pass ReadFrom by.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	c.lent.Store(true)
	raw, err := c.TCPConn.SyscallConn()
	if err != nil {
		return nil, err
	}
	return struct{ syscall.RawConn }{raw}, nil
}

// File is net.TCPConn's: it returns a copy of the descriptor.
func (c *Conn) File() (*os.File, error) {
	c.lent.Store(true)
	return c.TCPConn.File()
}

// Source returns the local address that Dialer.Sources bound the connection to,
// and the zero Addr if they did not.
func (c *Conn) Source() netip.Addr {
	if c.lease == nil {
		return netip.Addr{}
	}
	return c.lease.src
}

// OpenedAt returns when the connection was established or, for Wrap, wrapped.
func (c *Conn) OpenedAt() time.Time { return c.opened }

// BytesRead returns how many bytes of payload were read. WriteTo adds its own
// when it returns.
func (c *Conn) BytesRead() int64 { return c.read.Load() }

// BytesWritten returns how many bytes of payload were handed to the kernel.
// ReadFrom adds its own when it returns. A net.Buffers that is written with its
// WriteTo passes Conn by and is not counted.
func (c *Conn) BytesWritten() int64 { return c.written.Load() }

// Read reads like net.TCPConn's Read.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	if n > 0 {
		c.read.Add(int64(n))
	}
	c.note(err)
	return n, err
}

// Write writes like net.TCPConn's Write.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.TCPConn.Write(p)
	if n > 0 {
		c.written.Add(int64(n))
	}
	c.note(err)
	return n, err
}

// ReadFrom copies from r until EOF or an error, by sendfile or splice where
// net.TCPConn does; another *Conn as r counts as a TCP connection there.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) {
	src, plain := beneath(r)
	n, err := c.TCPConn.ReadFrom(plain)
	c.written.Add(n)
	if src != nil {
		src.read.Add(n)
		if limited, ok := r.(*io.LimitedReader); ok {
			limited.N -= n
		}
	}
	return n, err
}

// beneath looks for a Conn in r, where package net would not recognize it, and
// returns it together with a reader of the TCP connection itself.
func beneath(r io.Reader) (*Conn, io.Reader) {
	switch r := r.(type) {
	case *Conn:
		return r, r.TCPConn
	case *io.LimitedReader:
		if src, ok := r.R.(*Conn); ok {
			return src, &io.LimitedReader{R: src.TCPConn, N: r.N}
		}
	}
	return nil, r
}

// WriteTo copies to w until EOF or an error, by splice where net.TCPConn does.
func (c *Conn) WriteTo(w io.Writer) (int64, error) {
	n, err := c.TCPConn.WriteTo(w)
	c.read.Add(n)
	var op *net.OpError
	if errors.As(err, &op) {
		// The outer error says writeto. Only if the one in it is of reading was
		// it this connection that failed.
		if inner, ok := op.Err.(*net.OpError); ok && inner.Op == "read" {
			c.note(inner)
		}
	}
	return n, err
}

// note keeps in mind that the connection is broken. The kernel reports it once,
// and looks the same afterwards as after an orderly end.
func (c *Conn) note(err error) {
	if err == nil || err == io.EOF {
		return
	}
	for _, errno := range []syscall.Errno{syscall.ECONNRESET, syscall.ECONNABORTED, syscall.ETIMEDOUT, syscall.EHOSTUNREACH, syscall.ENETUNREACH} {
		if errors.Is(err, errno) {
			c.broken.Store(true)
		}
	}
}
