package netconn

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/stayopen-go/stayopen/pool"
)

// wire is a connection that Config.Dial brought. Whoever holds the lease on it is
// alone with it, but for Pool.Close, which may close it at any time.
type wire struct {
	net.Conn
	tls    *tls.Conn // Conn, if it is one
	socket *socket   // nil if there is none to look at
	count  *counters

	uses int     // how often it was handed out
	one  [1]byte // what is read to see whether there is something

	closing sync.Once
}

func newWire(c net.Conn, n *counters) *wire {
	w := &wire{Conn: c, count: n}
	beneath := c
	if tc, ok := c.(*tls.Conn); ok {
		w.tls, beneath = tc, tc.NetConn()
	}
	if sc, ok := beneath.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			w.socket = newSocket(raw)
		}
	}
	return w
}

// look says why the connection must not be used by another, and is empty if it
// may. It waits for nothing.
func (w *wire) look() pool.Reason {
	if w.socket == nil {
		return Unseen
	}
	if w.tls != nil {
		if why := w.decrypted(); why != "" {
			return why
		}
	}
	switch w.socket.look() {
	case quiet:
		return ""
	case unread:
		return Unread
	}
	return PeerClosed
}

// lookAgain is look at a connection that has lain idle. One that was never handed
// out is as good as a new one, whatever a peer that speaks first has sent.
func (w *wire) lookAgain() pool.Reason {
	if w.uses > 0 {
		return w.look()
	}
	if w.socket != nil && w.socket.look() == ended {
		return PeerClosed
	}
	return ""
}

// decrypted looks for what crypto/tls has read from the socket already: a Read
// whose time is over before it begins gets that and no more, and leaves the
// connection as it was.
func (w *wire) decrypted() pool.Reason {
	w.SetReadDeadline(time.Unix(1, 0))
	n, err := w.Read(w.one[:])
	switch {
	case n > 0:
		return Unread
	case !errors.Is(err, os.ErrDeadlineExceeded), w.SetReadDeadline(time.Time{}) != nil:
		return PeerClosed
	}
	return ""
}

// drop closes the connection and ends the lease on it, both before it returns.
func (w *wire) drop(l *pool.Lease[key, *wire], why pool.Reason) error {
	err := w.close(why)
	l.Conn().Gone()
	l.Release()
	return err
}

// goodbyeTimeout bounds what sending TLS's close_notify to a peer that does not
// read may take; crypto/tls itself allows 5 s.
const goodbyeTimeout = 250 * time.Millisecond

// close closes the connection, once.
func (w *wire) close(why pool.Reason) (err error) {
	w.closing.Do(func() {
		w.count.closed(why)
		if w.tls != nil {
			timer := time.AfterFunc(goodbyeTimeout, func() { w.tls.NetConn().Close() })
			defer timer.Stop()
		}
		err = w.Conn.Close()
	})
	return err
}
