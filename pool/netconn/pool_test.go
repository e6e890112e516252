package netconn_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayopen-go/stayopen/internal/netlab"
	"github.com/stayopen-go/stayopen/pool"
	"github.com/stayopen-go/stayopen/pool/netconn"
)

// pipes dials in memory and keeps the other ends.
func pipes(ends *[]net.Conn) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		*ends = append(*ends, theirs)
		return ours, nil
	}
}

func TestConnectionsAreSharedWithinANetworkAndAnAddress(t *testing.T) {
	r := newRig(t, netconn.Config{})
	c, s := r.open()
	exchange(t, c, s)
	c.Close()
	other, err := r.pool.Dial("tcp4", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if other.(*netconn.Conn).Reused() {
		t.Error("got a connection of network tcp for tcp4, want a new one")
	}
	r.wantAgain(s)
}

func TestTheZeroConfigDials(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := newPool(t, netconn.Config{}).Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestErrorsOfADialComeAsTheyAre(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	p := newPool(t, netconn.Config{})
	var op *net.OpError
	if _, err := p.Dial("tcp", addr); !errors.As(err, &op) || op.Op != "dial" {
		t.Errorf("nobody listens: got %v, want net.Dialer's error", err)
	}
	if s := p.Stats(); s.Failed != 1 || s.Opened != 0 {
		t.Errorf("got %+v, want one failed", s)
	}
	p = newPool(t, netconn.Config{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, nil }})
	if _, err := p.Dial("tcp", addr); err == nil {
		t.Error("a Dial that returns nothing at all: got no error, want one")
	}
	p = newPool(t, netconn.Config{MaxWaiters: 1, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, syscall.EPERM }})
	if _, err := p.Dial("tcp", addr); err != syscall.EPERM {
		t.Errorf("got %v, want %v", err, syscall.EPERM)
	}
}

func TestATLSHandshakeThatFailsIsAFailedDial(t *testing.T) {
	r := newTLSRig(t, netconn.Config{})
	r.client = &tls.Config{ServerName: "127.0.0.1"} // trusts nobody
	go r.accept()                                   // ends when the handshake has failed
	_, err := r.pool.Dial("tcp", r.addr)
	var cert *tls.CertificateVerificationError
	if !errors.As(err, &cert) {
		t.Errorf("got %v, want a certificate error", err)
	}
	if s := r.pool.Stats(); s.Failed != 1 || s.Opened != 0 || s.Open != 0 {
		t.Errorf("got %+v, want one failed", s)
	}
}

func TestWhoFindsTheLimitReachedWaitsForAClose(t *testing.T) {
	r := newRig(t, netconn.Config{MaxPerKey: 1})
	c, s := r.open()
	exchange(t, c, s)
	got := make(chan *netconn.Conn)
	go func() { got <- r.take() }() // ends with the Close below
	netlab.Await(t, "the second caller waits", func() bool { return r.pool.Stats().Waiting == 1 })
	c.Close()
	second := <-got
	if !second.Reused() {
		t.Error("got a new connection, want the one that was given back")
	}
	exchange(t, second, s)
	if n := r.pool.Stats(); n.Waited != 2 || n.WaitTime <= 0 {
		t.Errorf("got %+v, want 2 that waited: for the dial, and for the Close", n)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	go func() {
		netlab.Await(t, "the third caller waits", func() bool { return r.pool.Stats().Waiting == 1 })
		cancel(cause)
	}()
	if _, err := r.pool.DialContext(ctx, "tcp", r.addr); err != cause {
		t.Errorf("got %v, want the context's cause", err)
	}
}

// Each limit of Config arrives at the pool.
func TestLimitsLimit(t *testing.T) {
	t.Run("MaxIdlePerKey", func(t *testing.T) {
		r := newRig(t, netconn.Config{MaxIdlePerKey: -1})
		r.wantAnother()
		r.wantAnother()
		netlab.Await(t, "none is kept", func() bool { return r.pool.Stats().Reasons[pool.IdleLimit] == 2 })
	})
	t.Run("MaxUses", func(t *testing.T) {
		r := newRig(t, netconn.Config{MaxUses: 2})
		c, s := r.open()
		c.Close()
		r.wantAgain(s)
		expectEnd(t, s)
		r.wantAnother()
		if got := r.pool.Stats().Reasons; got[pool.MaxLeases] != 1 {
			t.Errorf("got %v, want one closed after two uses", got)
		}
	})
	t.Run("MaxTotal", func(t *testing.T) {
		r := newRig(t, netconn.Config{MaxTotal: 1})
		c, _ := r.open()
		c.Close()
		other, err := r.pool.Dial("tcp4", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		other.Close()
		// The one that made room is closed on the side.
		netlab.Await(t, "one evicted and one open", func() bool {
			got := r.pool.Stats()
			return got.Reasons[pool.Evicted] == 1 && got.Open == 1
		})
	})
	t.Run("IdleTimeout", func(t *testing.T) {
		r := newRig(t, netconn.Config{IdleTimeout: time.Millisecond})
		c, s := r.open()
		c.Close()
		expectEnd(t, s)
		netlab.Await(t, "it is counted", func() bool { return r.pool.Stats().Reasons[pool.IdleTimeout] == 1 })
	})
	t.Run("MaxAge", func(t *testing.T) {
		r := newRig(t, netconn.Config{MaxAge: time.Nanosecond})
		r.wantAnother()
		r.wantAnother()
	})
	t.Run("MaxWaiters", func(t *testing.T) {
		r := newRig(t, netconn.Config{MaxPerKey: 1, MaxWaiters: 1})
		c, _ := r.open()
		ctx, cancel := context.WithCancel(t.Context())
		waiter := make(chan error)
		go func() { // ends with the context
			_, err := r.pool.DialContext(ctx, "tcp", r.addr)
			waiter <- err
		}()
		netlab.Await(t, "the first waits", func() bool { return r.pool.Stats().Waiting == 1 })
		var full *pool.QueueFullError
		if _, err := r.pool.Dial("tcp", r.addr); !errors.As(err, &full) {
			t.Errorf("got %v, want a *pool.QueueFullError", err)
		}
		cancel()
		<-waiter
		c.Close()
	})
	t.Run("WaitTimeout", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var ends []net.Conn
			p := newPool(t, netconn.Config{MaxPerKey: 1, WaitTimeout: time.Hour, Dial: pipes(&ends)})
			c, err := p.Dial("tcp", "somewhere")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			begun := time.Now()
			var late *pool.WaitError
			if _, err := p.Dial("tcp", "somewhere"); !errors.As(err, &late) || time.Since(begun) != time.Hour {
				t.Errorf("got %v after %v, want a *pool.WaitError after 1 h", err, time.Since(begun))
			}
		})
	})
}

func TestCloseIdleConnectionsLeavesThoseInUse(t *testing.T) {
	r := newRig(t, netconn.Config{})
	used, s := r.open()
	idle, end := r.open()
	idle.Close()
	r.pool.CloseIdleConnections()
	expectEnd(t, end)
	exchange(t, used, s)
	r.wantReason(pool.CloseIdle)
}

func TestShutdownWaitsForThoseInUse(t *testing.T) {
	r := newRig(t, netconn.Config{})
	c, s := r.open()
	exchange(t, c, s)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.pool.Shutdown(ended); err != context.Canceled {
		t.Errorf("with a connection in use: got %v, want %v", err, context.Canceled)
	}
	if _, err := r.pool.Dial("tcp", r.addr); err != pool.ErrClosed {
		t.Errorf("Dial: got %v, want %v", err, pool.ErrClosed)
	}
	exchange(t, c, s)
	done := make(chan error)
	go func() { done <- r.pool.Shutdown(context.Background()) }() // ends with the Close
	c.Close()
	if err := <-done; err != nil {
		t.Errorf("after Close: got %v, want nil", err)
	}
	expectEnd(t, s)
	r.wantReason(pool.Closed)
}

func TestCloseBreaksThoseInUse(t *testing.T) {
	overBoth(t, netconn.Config{}, func(t *testing.T, r *rig) {
		c, s := r.open()
		exchange(t, c, s)
		for range 2 {
			if err := r.pool.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		expectEnd(t, s)
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read: got %v, want net.ErrClosed", err)
		}
		if err := c.Close(); err != nil {
			t.Errorf("Close: got %v, want nil: it was closed already", err)
		}
		if _, err := r.pool.Dial("tcp", r.addr); err != pool.ErrClosed {
			t.Errorf("Dial: got %v, want %v", err, pool.ErrClosed)
		}
		r.wantReason(pool.Closed)
	})
}

// A peer that does not read must not hold up whoever closes.
func TestTLSSaysGoodbyeInTime(t *testing.T) {
	r := newTLSRig(t, netconn.Config{})
	c, _ := r.open()
	wrote := make(chan error)
	go func() { // ends with Discard
		chunk := make([]byte, 1<<20)
		for {
			if _, err := c.Write(chunk); err != nil {
				wrote <- err
				return
			}
		}
	}()
	netlab.Await(t, "the peer's window to be full", func() bool { return waitsIn("netconn.(*Conn).Write") })
	c.Discard()
	if err := <-wrote; !errors.Is(err, net.ErrClosed) {
		t.Errorf("the Write got %v, want net.ErrClosed", err)
	}
}
