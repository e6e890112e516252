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

// mortal is a transport over HTTP/2 whose first connection is up, and what makes its
// peer die. The second one works.
func mortal(t *testing.T, pings *http.HTTP2Config, cfg transport.Config) (tr *transport.Transport, url string, die func()) {
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
	tmpl.HTTP2 = pings
	cfg.Template = tmpl
	tr = newTransport(t, cfg)
	mustGet(t, &http.Client{Transport: tr}, s.URL)
	return tr, s.URL, func() { first.Store(true) }
}

func TestPingsFindADeadPeerAndOnlyWhatMayBeSentTwiceIsSentAgain(t *testing.T) {
	const silence, patience = 3 * time.Second, 2 * time.Second
	for method, answered := range map[string]bool{"GET": true, "POST": false} {
		t.Run(method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				meter := newMeter(t)
				tr, url, die := mortal(t, &http.HTTP2Config{SendPingTimeout: silence, PingTimeout: patience}, transport.Config{MeterProvider: meter.provider})
				die()
				start := time.Now()
				body, _, err := get1(tr, newRequest(t, method, url, nil))
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

// The figures are those that the package's documentation gives.
func TestByDefaultADeadPeerIsFoundIn45Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, url, die := mortal(t, transport.DefaultTemplate().HTTP2, transport.Config{})
		pass(50 * time.Second) // idle, and pinged once
		die()
		start := time.Now()
		if body, _, err := get1(tr, newRequest(t, "GET", url, nil)); err != nil || body != "ok" {
			t.Errorf("got %q, %v, want the answer of the next connection", body, err)
		}
		if took := time.Since(start); took < 20*time.Second || took > 45*time.Second {
			t.Errorf("took %v, want what is left of 45 s since the last ping was answered", took)
		}
	})
}

func TestATemplateWithoutPingsHasNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, url, die := mortal(t, http.DefaultTransport.(*http.Transport).Clone().HTTP2, transport.Config{})
		die()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if _, _, err := get1(tr, newRequest(t, "GET", url, nil).WithContext(ctx)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want %v: nothing but the deadline ends the wait, as with net/http", err, context.DeadlineExceeded)
		}
	})
}
