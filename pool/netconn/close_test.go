package netconn_test

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/internal/netlab"
	"github.com/stayopen-go/stayopen/pool"
	"github.com/stayopen-go/stayopen/pool/netconn"
)

var rigs = map[string]func(testing.TB, netconn.Config) *rig{"tcp": newRig, "tls": newTLSRig}

func overBoth(t *testing.T, cfg netconn.Config, test func(t *testing.T, r *rig)) {
	for name, start := range rigs {
		t.Run(name, func(t *testing.T) { test(t, start(t, cfg)) })
	}
}

func TestACleanConnectionIsHandedOutAgain(t *testing.T) {
	overBoth(t, netconn.Config{}, func(t *testing.T, r *rig) {
		c, s := r.open()
		exchange(t, c, s)
		from := c.LocalAddr().String()
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		for range 3 {
			r.wantAgain(s)
		}
		got := r.pool.Stats()
		got.WaitTime = 0
		got.Reasons = nil
		if want := (netconn.Stats{HandedOut: 4, Reused: 3, Opened: 1, Waited: 1, Open: 1, Idle: 1}); !equal(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if again := r.take(); again.LocalAddr().String() != from || again.RemoteAddr().String() != r.addr {
			t.Errorf("got a connection from %v to %v, want from %v to %v", again.LocalAddr(), again.RemoteAddr(), from, r.addr)
		}
	})
}

func equal(a, b netconn.Stats) bool {
	return a.HandedOut == b.HandedOut && a.Reused == b.Reused && a.Opened == b.Opened && a.Failed == b.Failed &&
		a.Closed == b.Closed && a.Detached == b.Detached && a.Waited == b.Waited &&
		a.Open == b.Open && a.Idle == b.Idle && a.InUse == b.InUse && a.Dialing == b.Dialing && a.Waiting == b.Waiting
}

// What makes a connection unfit for others, done after an exchange. Afterwards it
// is closed, the peer sees that, and the next caller gets a new one.
func TestWhatIsNotCleanIsClosed(t *testing.T) {
	for name, test := range map[string]struct {
		do  func(r *rig, c *netconn.Conn, s net.Conn)
		why pool.Reason
	}{
		"a timeout of Read": {func(r *rig, c *netconn.Conn, _ net.Conn) {
			c.SetReadDeadline(time.Unix(1, 0))
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				r.t.Errorf("got %v, want a timeout", err)
			}
		}, netconn.Failed},
		"a timeout of Write": {func(r *rig, c *netconn.Conn, _ net.Conn) {
			c.SetWriteDeadline(time.Unix(1, 0))
			if _, err := c.Write(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				r.t.Errorf("got %v, want a timeout", err)
			}
		}, netconn.Failed},
		"EOF": {func(r *rig, c *netconn.Conn, s net.Conn) {
			s.Close()
			if _, err := c.Read(make([]byte, 1)); err != io.EOF {
				r.t.Errorf("got %v, want EOF", err)
			}
		}, netconn.Failed},
		"EOF by WriteTo": {func(r *rig, c *netconn.Conn, s net.Conn) {
			send(r.t, s, "the rest")
			s.Close()
			if n, err := io.Copy(io.Discard, c); n != 8 || err != nil {
				r.t.Errorf("got %d, %v, want 8", n, err)
			}
		}, netconn.Failed},
		"a source that fails": {func(r *rig, c *netconn.Conn, s net.Conn) {
			if _, err := c.ReadFrom(failing{}); !errors.Is(err, errSource) {
				r.t.Errorf("got %v, want %v", err, errSource)
			}
		}, netconn.Failed},
		"a question without an answer": {func(r *rig, c *netconn.Conn, _ net.Conn) {
			send(r.t, c, "ping")
		}, netconn.Unanswered},
		"something unread": {func(r *rig, c *netconn.Conn, s net.Conn) {
			send(r.t, c, "ping")
			expect(r.t, s, "ping")
			send(r.t, s, "pong")
			expect(r.t, c, "po")
		}, netconn.Unread},
		"something nobody asked for": {func(r *rig, c *netconn.Conn, s net.Conn) {
			exchange(r.t, c, s)
			send(r.t, s, "and more")
			r.awaitArrival(c)
		}, netconn.Unread},
		"CloseWrite": {func(r *rig, c *netconn.Conn, s net.Conn) {
			if err := c.CloseWrite(); err != nil {
				r.t.Errorf("CloseWrite: %v", err)
			}
			if _, err := s.Read(make([]byte, 1)); err != io.EOF {
				r.t.Errorf("the peer got %v, want EOF", err)
			}
		}, netconn.HalfClosed},
		"Discard": {func(r *rig, c *netconn.Conn, _ net.Conn) {
			if err := c.Discard(); err != nil {
				r.t.Errorf("Discard: %v", err)
			}
		}, netconn.Discarded},
		"a peer that has gone": {func(r *rig, c *netconn.Conn, s net.Conn) {
			s.Close()
			r.awaitArrival(c)
		}, netconn.PeerClosed},
	} {
		t.Run(name, func(t *testing.T) {
			overBoth(t, netconn.Config{}, func(t *testing.T, r *rig) {
				c, s := r.open()
				exchange(t, c, s)
				test.do(r, c, s)
				if err := c.Close(); err != nil && r.certs == nil {
					t.Errorf("Close: %v", err)
				}
				r.wantReason(test.why)
				if s := r.pool.Stats(); s.Open != 0 || s.InUse != 0 {
					t.Errorf("got %+v, want nothing left", s)
				}
				expectEnd(t, s)
				r.wantAnother()
			})
		})
	}
}

var errSource = errors.New("the source failed")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errSource }

func TestOneWayGivesBackWhatWasWrittenLast(t *testing.T) {
	r := newRig(t, netconn.Config{OneWay: true})
	c, s := r.open()
	send(t, c, "a line")
	expect(t, s, "a line")
	c.Close()
	r.wantAgain(s)
	expectNothingClosed(t, r)
}

func expectNothingClosed(t *testing.T, r *rig) {
	t.Helper()
	if s := r.pool.Stats(); s.Closed != 0 {
		t.Errorf("got %v closed, want none", s.Reasons)
	}
}

func TestDeadlinesDoNotOutliveClose(t *testing.T) {
	overBoth(t, netconn.Config{}, func(t *testing.T, r *rig) {
		c, s := r.open()
		for _, set := range []func(*netconn.Conn, time.Time) error{
			(*netconn.Conn).SetDeadline, (*netconn.Conn).SetReadDeadline, (*netconn.Conn).SetWriteDeadline,
		} {
			if err := set(c, time.Unix(1, 0)); err != nil {
				t.Fatal(err)
			}
			c.Close()
			r.wantAgain(s)
			c = r.take()
		}
		expectNothingClosed(t, r)
	})
}

// calls are all that can be called on a Conn and touches it.
func calls(c *netconn.Conn) map[string]func() error {
	p := make([]byte, 8)
	return map[string]func() error{
		"Read":             func() error { _, err := c.Read(p); return err },
		"Write":            func() error { _, err := c.Write(p); return err },
		"ReadFrom":         func() error { _, err := c.ReadFrom(neverRead{}); return err },
		"WriteTo":          func() error { _, err := c.WriteTo(io.Discard); return err },
		"CloseWrite":       c.CloseWrite,
		"SetDeadline":      func() error { return c.SetDeadline(time.Unix(1, 0)) },
		"SetReadDeadline":  func() error { return c.SetReadDeadline(time.Unix(1, 0)) },
		"SetWriteDeadline": func() error { return c.SetWriteDeadline(time.Unix(1, 0)) },
		"Detach":           func() error { _, err := c.Detach(); return err },
	}
}

type neverRead struct{}

func (neverRead) Read([]byte) (int, error) { panic("read for a closed connection") }

// The connection is in somebody else's hands meanwhile, who must notice nothing.
func TestAfterCloseNothingTouchesTheConnection(t *testing.T) {
	overBoth(t, netconn.Config{}, func(t *testing.T, r *rig) {
		before, s := r.open()
		exchange(t, before, s)
		before.Close()
		now := r.take()
		if !now.Reused() {
			t.Fatal("got a new connection: void")
		}
		for name, call := range calls(before) {
			err := call()
			var op *net.OpError
			if !errors.Is(err, net.ErrClosed) || !errors.As(err, &op) {
				t.Errorf("%s after Close: got %v, want a *net.OpError with net.ErrClosed", name, err)
			}
			exchange(t, now, s)
		}
		for range 2 {
			if err := before.Close(); err != nil {
				t.Errorf("a second Close: got %v, want nil", err)
			}
			if err := before.Discard(); err != nil {
				t.Errorf("Discard after Close: got %v, want nil", err)
			}
			if got := r.pool.Stats(); got.InUse != 1 || got.Idle != 0 {
				t.Errorf("a second Close: got %+v, want one in use", got)
			}
		}
		exchange(t, now, s)
		if before.LocalAddr().String() != now.LocalAddr().String() || before.RemoteAddr().String() != r.addr {
			t.Errorf("got addresses %v and %v after Close, want them as before", before.LocalAddr(), before.RemoteAddr())
		}
		now.Close()
		expectNothingClosed(t, r)
	})
}

func TestCallsUnderWayReturnWhenCloseIsCalled(t *testing.T) {
	overBoth(t, netconn.Config{}, func(t *testing.T, r *rig) {
		c, s := r.open()
		exchange(t, c, s)
		read := make(chan error)
		go func() { // ends with Close
			_, err := c.Read(make([]byte, 1))
			read <- err
		}()
		netlab.Await(t, "the Read to wait", func() bool { return waitsIn("netconn.(*Conn).Read") })
		c.Close()
		if err := <-read; !errors.Is(err, net.ErrClosed) {
			t.Errorf("the Read got %v, want net.ErrClosed", err)
		}
		r.wantReason(netconn.Busy)
		expectEnd(t, s)
		r.wantAnother()
	})
}

func TestALoanEndsOnceHoweverManyEndIt(t *testing.T) {
	r := newRig(t, netconn.Config{})
	c, s := r.open()
	for range 200 {
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() { c.Close() })
		}
		all.Wait()
		if got := r.pool.Stats(); got.InUse != 0 || got.Idle != 1 {
			t.Fatalf("got %+v, want one idle", got)
		}
		c = r.take()
	}
	exchange(t, c, s)
	expectNothingClosed(t, r)
}

func TestADetachedConnectionIsTheCallers(t *testing.T) {
	overBoth(t, netconn.Config{MaxTotal: 1}, func(t *testing.T, r *rig) {
		c, s := r.open()
		exchange(t, c, s)
		own, err := c.Detach()
		if err != nil {
			t.Fatal(err)
		}
		defer own.Close()
		if err := c.Close(); err != nil {
			t.Errorf("Close after Detach: got %v, want nil", err)
		}
		r.wantAnother() // MaxTotal does not count the other any more
		r.pool.Close()
		exchange(t, own, s)
		if got := r.pool.Stats(); got.Opened != 2 || got.Detached != 1 || got.Closed != 1 || got.Open != 0 {
			t.Errorf("got %+v, want 2 opened, 1 detached, 1 closed", got)
		}
	})
}
