package dialer

import (
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Listener is a TCP listener that counts what it accepts and how that ends, can
// limit it, and can be closed without losing what is queued. [ListenConfig]
// makes them. A Listener is safe for concurrent use.
type Listener struct {
	tcp       *net.TCPListener
	raw       syscall.RawConn
	name      string
	keepAlive net.KeepAliveConfig
	taken     bool        // from another process: package net does not know keepAlive
	shared    atomic.Bool // somebody else may hold the socket, too
	draining  atomic.Bool
	slots     *slots // nil without a limit

	// accepting is held, shared, from before the kernel gives a connection until it
	// is counted. Close waits for that with its socket closed.
	accepting sync.RWMutex

	// turning guards turned, and that shared does not become true once that is.
	turning sync.Mutex
	turned  bool // clients are turned away, by a filter of ours

	closeOnce sync.Once

	// mu guards the rest. Nothing is called under it.
	mu    sync.Mutex
	stats ListenerStats
}

func newListener(tcp *net.TCPListener, lc *ListenConfig, name string) *Listener {
	l := &Listener{tcp: tcp, name: name, keepAlive: lc.KeepAliveConfig}
	l.raw, _ = tcp.SyscallConn() // fails for a nil listener only
	if lc.MaxConns > 0 {
		l.slots = newSlots(lc.MaxConns)
	}
	return l
}

// Accept waits for the next connection and returns it, a *[Conn].
//
// At the limit of ListenConfig.MaxConns it waits until a connection that it has
// returned is closed. Meanwhile the kernel finishes handshakes and queues the
// connections, up to the listener's backlog; beyond that clients find the host
// not answering and try again by themselves. Until then, they wait to be
// answered: a limit wants a timeout on idle connections beside it.
//
// The errors are those of net.TCPListener: one that is net.ErrClosed after Close,
// and after [Listener.Drain] once nothing is queued any more, also for those who
// wait at the limit; one that is os.ErrDeadlineExceeded after a deadline.
func (l *Listener) Accept() (net.Conn, error) {
	if err := l.slots.take(); err != nil {
		return nil, &net.OpError{Op: "accept", Net: l.Addr().Network(), Addr: l.Addr(), Err: err}
	}
	l.accepting.RLock()
	defer l.accepting.RUnlock()
	tc, err := l.tcp.AcceptTCP()
	if err != nil {
		l.slots.free()
		return nil, err
	}
	if l.taken && l.keepAlive.Enable {
		tc.SetKeepAliveConfig(l.keepAlive) // like package net, which goes without if it fails
	}
	if l.draining.Load() {
		unfilter(tc)
	}
	return l.seat(tc), nil
}

// Close closes the listener: calls of Accept return, and what is queued is reset
// by the kernel unless another process holds the same socket; see
// [Listener.Drain]. Accepted connections stay open, and when Close returns Stats
// counts them all, also one that a call of Accept is about to return. A second
// Close does nothing and returns nil.
func (l *Listener) Close() error {
	var err error
	l.closeOnce.Do(func() {
		l.slots.close()
		err = l.tcp.Close()
		l.accepting.Lock()
		l.accepting.Unlock() //lint:ignore SA2001 those who held it have counted
	})
	return err
}

// Addr returns the address that is listened on, a *net.TCPAddr.
func (l *Listener) Addr() net.Addr { return l.tcp.Addr() }

// Name returns ListenConfig.Name, or the name under which another process passed
// the listener (FileDescriptorName= for systemd). Empty if there is none.
func (l *Listener) Name() string { return l.name }

// SetDeadline sets when calls of Accept fail, those at the limit included. Zero
// means never.
func (l *Listener) SetDeadline(t time.Time) error {
	if err := l.tcp.SetDeadline(t); err != nil {
		return err
	}
	l.slots.setDeadline(t)
	return nil
}

// SyscallConn returns the raw listener, like net.TCPListener's.
func (l *Listener) SyscallConn() (syscall.RawConn, error) { return l.tcp.SyscallConn() }

// File returns a copy of the descriptor, like net.TCPListener's. From now on
// Drain takes it that somebody else may accept from the socket. Towards the end of
// a Drain it is too late for that, and the error is net.ErrClosed.
func (l *Listener) File() (*os.File, error) {
	if err := l.share(); err != nil {
		return nil, &net.OpError{Op: "file", Net: l.Addr().Network(), Addr: l.Addr(), Err: err}
	}
	return l.tcp.File()
}

// errTurned is why a socket is not passed on that takes in nobody any more.
var errTurned = fmt.Errorf("dialer: the listener is being drained: %w", net.ErrClosed)

// share notes that somebody else may hold the socket, whose clients must then not
// be turned away.
func (l *Listener) share() error {
	l.turning.Lock()
	defer l.turning.Unlock()
	if l.turned {
		return errTurned
	}
	l.shared.Store(true)
	return nil
}
