package netconn_test

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/internal/netlab"
	"github.com/stayopen-go/stayopen/pool"
	"github.com/stayopen-go/stayopen/pool/netconn"
)

// accepting takes n connections for the server, in the background.
func (r *rig) accepting(n int) <-chan net.Conn {
	all := make(chan net.Conn, n)
	r.t.Cleanup(func() {
		r.listener.Close()
		for range all {
		}
	})
	go func() { // ends when all are there, or the listener is closed
		defer close(all)
		for range n {
			if c := r.accept(); c != nil {
				all <- c
			}
		}
	}()
	return all
}

func TestWarmOpensConnectionsThatAreHandedOutWithoutADial(t *testing.T) {
	for name, newRig := range map[string]func(testing.TB, netconn.Config) *rig{"tcp": newRig, "tls": newTLSRig} {
		t.Run(name, func(t *testing.T) {
			const n = 4
			r := newRig(t, netconn.Config{})
			theirs := r.accepting(n)
			if err := r.pool.Warm(t.Context(), "tcp", r.addr, n); err != nil {
				t.Fatal(err)
			}
			if s := r.pool.Stats(); s.Opened != n || s.Idle != n || s.HandedOut != 0 {
				t.Errorf("got %+v, want %d that are open and idle", s, n)
			}
			if err := r.pool.Warm(t.Context(), "tcp", r.addr, n-1); err != nil {
				t.Error(err)
			}
			byAddr := make(map[string]net.Conn)
			for s := range theirs {
				byAddr[s.RemoteAddr().String()] = s
			}
			for range n {
				c := r.take()
				if c.Reused() {
					t.Error("got a connection that was handed out before, want one that Warm has opened")
				}
				exchange(t, c, byAddr[c.LocalAddr().String()])
			}
			if s := r.pool.Stats(); s.Opened != n || s.Waited != 0 || s.Idle != 0 {
				t.Errorf("got %+v, want no more than the %d that were warmed, and nobody who waited", s, n)
			}
		})
	}
}

func TestWarmGoesAsFarAsTheLimits(t *testing.T) {
	r := newRig(t, netconn.Config{MaxPerKey: 2})
	r.accepting(2)
	if err := r.pool.Warm(t.Context(), "tcp", r.addr, 5); err != nil {
		t.Error(err)
	}
	for _, n := range []int{0, -1} {
		if err := r.pool.Warm(t.Context(), "tcp", "192.0.2.1:1", n); err != nil {
			t.Errorf("Warm of %d: got %v, want nothing", n, err)
		}
	}
	if s := r.pool.Stats(); s.Opened != 2 || s.Open != 2 {
		t.Errorf("got %+v, want 2 that are open", s)
	}
}

func TestAWarmedConnectionThatItsPeerHasClosedIsNotHandedOut(t *testing.T) {
	r := newRig(t, netconn.Config{})
	theirs := r.accepting(1)
	if err := r.pool.Warm(t.Context(), "tcp", r.addr, 1); err != nil {
		t.Fatal(err)
	}
	s := <-theirs
	s.Close()
	r.awaitArrival(r.warmed())
	r.open()
	if n := r.pool.Stats(); n.Reasons[netconn.PeerClosed] != 1 {
		t.Errorf("got %+v, want the one that was warmed closed, since its peer has closed it", n)
	}
}

func TestAWarmedConnectionMayHaveBeenGreetedOn(t *testing.T) {
	r := newRig(t, netconn.Config{})
	theirs := r.accepting(1)
	if err := r.pool.Warm(t.Context(), "tcp", r.addr, 1); err != nil {
		t.Fatal(err)
	}
	s := <-theirs
	if _, err := io.WriteString(s, "hello\n"); err != nil {
		t.Fatal(err)
	}
	r.awaitArrival(r.warmed())
	c := r.take()
	greeting := make([]byte, len("hello\n"))
	if _, err := io.ReadFull(c, greeting); err != nil || string(greeting) != "hello\n" {
		t.Errorf("got %q, %v, want the greeting", greeting, err)
	}
	if n := r.pool.Stats(); n.Opened != 1 {
		t.Errorf("got %+v, want one connection", n)
	}
}

// warmed is the only connection that was dialed.
func (r *rig) warmed() net.Conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.dialed {
		return c
	}
	r.t.Fatal("nothing was dialed")
	return nil
}

func TestWarmSaysWhyItStopped(t *testing.T) {
	p := newPool(t, netconn.Config{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, syscall.EPERM }})
	if err := p.Warm(t.Context(), "tcp", "192.0.2.1:1", 2); err != syscall.EPERM {
		t.Errorf("a dial fails: got %v, want %v", err, syscall.EPERM)
	}
	r := newRig(t, netconn.Config{})
	theirs := r.accepting(1)
	gate := make(chan struct{})
	r.gate = gate
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	go func() {
		netlab.Await(t, "a dial runs", func() bool { return r.pool.Stats().Dialing == 1 })
		cancel(cause)
	}()
	if err := r.pool.Warm(ctx, "tcp", r.addr, 1); err != cause {
		t.Errorf("the context ends: got %v, want its cause", err)
	}
	close(gate)
	<-theirs
	netlab.Await(t, "the dial has gone on", func() bool { return r.pool.Stats().Idle == 1 })
	r.pool.Close()
	if err := r.pool.Warm(t.Context(), "tcp", r.addr, 1); !errors.Is(err, pool.ErrClosed) {
		t.Errorf("after Close: got %v, want %v", err, pool.ErrClosed)
	}
}

func TestWhatWasWarmedForNobodyIsClosedInTheEnd(t *testing.T) {
	r := newRig(t, netconn.Config{IdleWindow: 50 * time.Millisecond})
	r.accepting(4)
	if err := r.pool.Warm(t.Context(), "tcp", r.addr, 4); err != nil {
		t.Fatal(err)
	}
	netlab.Await(t, "two are left", func() bool { return r.pool.Stats().Open == 2 })
	if n := r.pool.Stats(); n.Reasons[pool.Surplus] != 2 {
		t.Errorf("got %+v, want 2 closed as surplus", n)
	}
}
