package transport_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/transport"
)

// wantOpened checks how many connections were opened for a reason, and that the
// reasons add up.
func wantOpened(t *testing.T, tr *transport.Transport, why transport.OpenReason, want uint64) {
	t.Helper()
	s := tr.Stats()
	if got := s.OpenedBecause.Of(why); got != want {
		t.Errorf("opened because of %q: got %d, want %d; all are %v", why, got, want, s.OpenedBecause)
	}
	var sum uint64
	for _, n := range s.OpenedBecause.All() {
		sum += n
	}
	if sum != s.Opened {
		t.Errorf("the reasons add up to %d, want Stats.Opened, %d", sum, s.Opened)
	}
}

func TestEveryConnectionSaysWhyItWasOpened(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *memory, tmpl *http.Transport) {
		meter := newMeter(t)
		tr := newTransport(t, transport.Config{
			Template: tmpl, MeterProvider: meter.provider, IdleWindow: -1, IdleConnTimeout: time.Minute,
			Partition: func(r *http.Request) string { return r.Header.Get("Tenant") },
		})
		burst(t, tr, 4, "a.example")
		burst(t, tr, 1, "b.example")
		wantOpened(t, tr, transport.OpenFirst, 2)
		wantOpened(t, tr, transport.OpenBusy, 3)
		req := newRequest(t, "GET", "http://a.example/", nil)
		req.Header.Set("Tenant", "other")
		if _, _, err := get1(tr, req); err != nil {
			t.Fatal(err)
		}
		wantOpened(t, tr, transport.OpenPartition, 1)
		if err := tr.Warm(context.Background(), "http://c.example/", 2); err != nil {
			t.Fatal(err)
		}
		wantOpened(t, tr, transport.OpenWarm, 2)
		pass(2 * time.Minute)
		burst(t, tr, 6, "a.example")
		wantOpened(t, tr, transport.OpenIdleTimeout, 4)
		wantOpened(t, tr, transport.OpenBusy, 5) // it never had six
		got := make(map[transport.OpenReason]uint64)
		for _, p := range points(t, meter.collect(t)["stayopen.connections.opened"]) {
			got[transport.OpenReason(attr(p.Attributes, "stayopen.open.reason"))] = uint64(p.Value)
		}
		for why, n := range tr.Stats().OpenedBecause.All() {
			if got[why] != n {
				t.Errorf("the metric says %d for %q, want %d", got[why], why, n)
			}
		}
	})
}

func TestTheMinimumReplacesWhatWasLost(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *memory, tmpl *http.Transport) {
		tr := newTransport(t, transport.Config{Template: tmpl, MinConnsPerHost: 1, MaxRequestsPerConn: 1})
		burst(t, tr, 1, "a.example")
		wantOpened(t, tr, transport.OpenFirst, 1)
		wantOpened(t, tr, transport.OpenMinimum, 1)
	})
}

func TestADialThatFailsLeavesTheReasonToTheNext(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *memory, tmpl *http.Transport) {
		meter := newMeter(t)
		broken := true
		whole, refused := tmpl.DialContext, refusing("a.example", tmpl.Clone()).DialContext
		tmpl.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if broken {
				return refused(ctx, network, addr)
			}
			return whole(ctx, network, addr)
		}
		tr := newTransport(t, transport.Config{Template: tmpl, MeterProvider: meter.provider})
		for range 3 {
			if _, _, err := get1(tr, newRequest(t, "GET", "http://a.example/", nil)); err == nil {
				t.Error("the dial did not fail")
			}
		}
		broken = false
		burst(t, tr, 1, "a.example")
		wantOpened(t, tr, transport.OpenFirst, 1)
		if got := tr.Stats().FailedDials; got != 3 {
			t.Errorf("failed dials: got %d, want 3", got)
		}
		for _, p := range points(t, meter.collect(t)["stayopen.dials.failed"]) {
			step, kind := attr(p.Attributes, "stayopen.dial.step"), attr(p.Attributes, "error.type")
			if step != "connect" || kind != "ECONNREFUSED" || p.Value != 3 {
				t.Errorf("failed dials: got %d at %s for %s, want 3 at connect for ECONNREFUSED", p.Value, step, kind)
			}
		}
	})
}

func TestOpenCountsAreReadable(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *memory, tmpl *http.Transport) {
		tr := newTransport(t, transport.Config{Template: tmpl})
		burst(t, tr, 3, "a.example")
		counts := tr.Stats().OpenedBecause
		if got, want := fmt.Sprint(counts), "first:1 busy:2"; got != want {
			t.Errorf("as text: got %q, want %q", got, want)
		}
		text, err := json.Marshal(counts)
		if want := `{"busy":2,"first":1}`; err != nil || string(text) != want {
			t.Errorf("as JSON: got %s, %v, want %s", text, err, want)
		}
	})
}
