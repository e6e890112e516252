package netconn_test

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"testing"

	"github.com/stayopen-go/stayopen/internal/netlab"
	"github.com/stayopen-go/stayopen/pool"
	"github.com/stayopen-go/stayopen/pool/netconn"
)

// What happens to a connection while it lies in the pool is seen before it is
// handed out, and the caller gets another.
func TestWhatIsNotCleanAnyMoreIsNotHandedOut(t *testing.T) {
	for name, test := range map[string]struct {
		do   func(t *testing.T, s net.Conn)
		want []pool.Reason // systems differ in what they tell if there is both
	}{
		"the peer closes":                  {func(t *testing.T, s net.Conn) { s.Close() }, []pool.Reason{netconn.PeerClosed, netconn.Unread}},
		"something comes":                  {func(t *testing.T, s net.Conn) { send(t, s, "!") }, []pool.Reason{netconn.Unread}},
		"something comes, and then an end": {func(t *testing.T, s net.Conn) { send(t, s, "!"); s.Close() }, []pool.Reason{netconn.PeerClosed, netconn.Unread}},
		"the peer resets":                  {func(t *testing.T, s net.Conn) { reset(s) }, []pool.Reason{netconn.PeerClosed}},
	} {
		t.Run(name, func(t *testing.T) {
			overBoth(t, netconn.Config{}, func(t *testing.T, r *rig) {
				c, s := r.open()
				exchange(t, c, s)
				c.Close()
				test.do(t, s)
				r.awaitArrival(c)
				expectNothingClosed(t, r)
				r.wantAnother()
				got := r.pool.Stats()
				if got.Closed != 1 || !slices.ContainsFunc(test.want, func(why pool.Reason) bool { return got.Reasons[why] == 1 }) {
					t.Errorf("got %v closed, want one: %v", got.Reasons, test.want)
				}
			})
		})
	}
}

func reset(c net.Conn) {
	tc, ok := c.(*tls.Conn)
	if ok {
		c = tc.NetConn()
	}
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// A dial goes on when its caller has gone, and what it brings is kept. A peer
// that speaks first has spoken by then: that is no reason to close it.
func TestAConnectionThatNobodyUsedYetIsAsGoodAsANewOne(t *testing.T) {
	overBoth(t, netconn.Config{}, func(t *testing.T, r *rig) {
		s := r.idleUnused()
		send(t, s, "220 hello")
		c := r.take()
		if c.Reused() {
			t.Error("Reused says true of a connection that nobody had")
		}
		expect(t, c, "220 hello")
		exchange(t, c, s)
		c.Close()
		r.wantAgain(s)
		if got := r.pool.Stats(); got.Opened != 1 {
			t.Errorf("got %+v, want one opened", got)
		}
	})
}

func TestAConnectionThatNobodyUsedYetIsNotHandedOutWhenThePeerHasClosed(t *testing.T) {
	overBoth(t, netconn.Config{}, func(t *testing.T, r *rig) {
		reset(r.idleUnused())
		for _, c := range r.dialed {
			r.awaitArrival(c)
		}
		r.wantAnother()
		r.wantReason(netconn.PeerClosed)
	})
}

// idleUnused lets a connection be dialed for a caller that has gone by the time it
// is there, and returns the server's end.
func (r *rig) idleUnused() net.Conn {
	r.t.Helper()
	gate := make(chan struct{})
	r.gate = gate
	ctx, cancel := context.WithCancel(context.Background())
	failed := make(chan error)
	go func() { // ends when the context does
		_, err := r.pool.DialContext(ctx, "tcp", r.addr)
		failed <- err
	}()
	netlab.Await(r.t, "the dial to begin", func() bool { return r.pool.Stats().Dialing == 1 })
	cancel()
	if err := <-failed; err != context.Canceled {
		r.t.Fatalf("got %v, want the context's error", err)
	}
	close(gate)
	s := r.accept()
	netlab.Await(r.t, "the connection to be kept", func() bool { return r.pool.Stats().Idle == 1 })
	return s
}
