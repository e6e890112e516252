package transport_test

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/transport"
)

func TestClosesAvoidedOverDefaultAreWhatTheDefaultTransportReallyOpens(t *testing.T) {
	for name, patience := range map[string]time.Duration{"bursts": 0, "bursts with pauses": 2 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, m *memory, tmpl *http.Transport) {
				var dials counter
				theirs := tmpl.Clone()
				theirs.DialContext = dials.count(tmpl.DialContext)
				theirs.IdleConnTimeout, theirs.MaxIdleConns = 90*time.Second, 100
				ours := newTransport(t, transport.Config{Template: tmpl, CompareDefault: true, IdleConnTimeout: time.Hour, IdleWindow: -1})
				load := func(rt http.RoundTripper) {
					for range 10 {
						burst(t, rt, 20, "a.example")
						pass(time.Second + patience)
					}
				}
				load(theirs)
				load(ours)
				s := ours.Stats()
				want := dials.read() - int64(s.Opened)
				t.Logf("http.DefaultTransport opened %d, stayopen %d, estimate of the difference %d", dials.read(), s.Opened, s.ClosesAvoidedOverDefault)
				if got := s.ClosesAvoidedOverDefault; got < want-dials.read()/20 || got > want+dials.read()/20 {
					t.Errorf("estimate: got %d, want %d, give or take 5 %% of the %d that it opened", got, want, dials.read())
				}
				theirs.CloseIdleConnections()
			})
		})
	}
}

func TestWithoutCompareDefaultNothingIsEstimated(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *memory, tmpl *http.Transport) {
		meter := newMeter(t)
		tr := newTransport(t, transport.Config{Template: tmpl, MeterProvider: meter.provider})
		burst(t, tr, 20, "a.example")
		if got := tr.Stats().ClosesAvoidedOverDefault; got != 0 {
			t.Errorf("got %d, want 0", got)
		}
		if _, there := meter.collect(t)["stayopen.closes.avoided_over_default"]; there {
			t.Error("the metric is there, want none: zero would be a claim")
		}
	})
}

type dialContext = func(ctx context.Context, network, addr string) (net.Conn, error)

// counter counts the dials of a dial function.
type counter struct {
	mu sync.Mutex
	n  int64
}

func (c *counter) count(dial dialContext) dialContext {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c.mu.Lock()
		c.n++
		c.mu.Unlock()
		return dial(ctx, network, addr)
	}
}

func (c *counter) read() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}
