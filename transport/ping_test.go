package transport_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayopen-go/stayopen/transport"
)

// mute is a connection whose peer can be made to hear nothing any more, as one
// does that has lost its power, or its way here.
type mute struct {
	net.Conn
	dead *atomic.Bool
}

func (c mute) Write(p []byte) (int, error) {
	if c.dead.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func TestPingsFindADeadPeerAndOnlyWhatMayBeSentTwiceIsSentAgain(t *testing.T) {
	const silence, patience = 3 * time.Second, 2 * time.Second
	for method, answered := range map[string]bool{"GET": true, "POST": false} {
		t.Run(method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				s, tmpl := m.serve(t, "h2", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "ok") }))
				var first atomic.Bool // whether the first connection is dead
				dials := 0
				tmpl.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					c, err := m.DialContext(ctx, network, addr)
					dials++
					if dials > 1 {
						return c, err
					}
					return mute{c, &first}, err
				}
				tmpl.HTTP2 = &http.HTTP2Config{SendPingTimeout: silence, PingTimeout: patience}
				meter := newMeter(t)
				tr := newTransport(t, transport.Config{Template: tmpl, MeterProvider: meter.provider})
				mustGet(t, &http.Client{Transport: tr}, s.URL)
				first.Store(true)
				start := time.Now()
				body, _, err := get1(tr, newRequest(t, method, s.URL, nil))
				took := time.Since(start)
				t.Logf("%s: %q, %v after %v", method, body, err, took)
				if took > silence+patience+time.Second {
					t.Errorf("took %v, want %v at most", took, silence+patience)
				}
				var maybe *transport.MaybeSentError
				if answered != (err == nil) || !answered && !errors.As(err, &maybe) {
					t.Errorf("got %q, %v, want an answer of the next connection: %v, and otherwise a MaybeSentError", body, err, answered)
				}
				synctest.Wait()
				if got := meter.closes(t); got["protocol local"] != 1 {
					t.Errorf("closes counted: %v, want one for the protocol", got)
				}
			})
		})
	}
}
