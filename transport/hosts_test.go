package transport_test

import (
	"fmt"
	"maps"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/stayopen-go/stayopen/transport"
)

// byHost is a metric's values, by server.address and network.protocol.version.
func (m *meter) byHost(t *testing.T, name string) map[string]int64 {
	t.Helper()
	got := make(map[string]int64)
	for _, p := range points(t, m.collect(t)[name]) {
		got[attr(p.Attributes, "server.address")+" "+attr(p.Attributes, "network.protocol.version")] += p.Value
	}
	return got
}

func TestConnectionsAreReportedByTheirProtocol(t *testing.T) {
	for mode, want := range map[string]string{"h1": "1.1", "https1": "1.1", "h2": "2"} {
		s := serve(t, mode, http.NotFoundHandler())
		meter := newMeter(t)
		tr := newTransport(t, transport.Config{Template: s.template(mode), MeterProvider: meter.provider, SchemeAttribute: true})
		mustGet(t, &http.Client{Transport: tr}, s.URL)
		await(t, "the connection to be idle", func() bool { return tr.Stats().Idle == 1 })
		if got, want := meter.byHost(t, "http.client.open_connections"), map[string]int64{"127.0.0.1 " + want: 1}; !maps.Equal(got, want) {
			t.Errorf("%s: open connections: got %v, want %v", mode, got, want)
		}
		scheme := "http"
		if mode != "h1" {
			scheme = "https"
		}
		for _, p := range points(t, meter.collect(t)["http.client.open_connections"]) {
			if got := attr(p.Attributes, "url.scheme"); got != scheme {
				t.Errorf("%s: url.scheme is %q, want %q", mode, got, scheme)
			}
		}
	}
}

func TestHowLongConnectionsLivedAndRequestsWaitedIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, tmpl := newMemory().serve(t, "h1", http.HandlerFunc(slow))
		meter := newMeter(t)
		tr := newTransport(t, transport.Config{Template: slowTo("slow.example", tmpl), MeterProvider: meter.provider, IdleConnTimeout: 30 * time.Second})
		burst(t, tr, 1, "slow.example") // a second for the dial
		pass(2 * time.Minute)
		took := tr.Stats().WaitTime
		for name, want := range map[string]struct {
			sum    float64
			bounds int
		}{
			"http.client.request.time_in_queue": {took.Seconds(), 14},
			// Idle for so long, after an answer.
			"http.client.connection.duration": {30, 14},
		} {
			data := meter.collect(t)[name].Data.(metricdata.Histogram[float64])
			if len(data.DataPoints) != 1 {
				t.Fatalf("%s has %d points, want 1", name, len(data.DataPoints))
			}
			p := data.DataPoints[0]
			if p.Count != 1 || p.Sum < want.sum || p.Sum > want.sum+1 || len(p.Bounds) != want.bounds {
				t.Errorf("%s: got %d values, %v s, %d bounds, want 1, %v to %v s and %d", name, p.Count, p.Sum, len(p.Bounds), want.sum, want.sum+1, want.bounds)
			}
		}
		if took < time.Second || took > 2*time.Second {
			t.Errorf("the request waited for %v, want the time of the dial, a second", took)
		}
	})
}

func TestActiveRequestsAreThoseThatWaitAndThoseThatRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, meter := newGated(), newMeter(t)
		_, tmpl := newMemory().serve(t, "h1", g)
		tr := newTransport(t, transport.Config{Template: tmpl, MeterProvider: meter.provider, MaxConnsPerHost: 2})
		var ended []<-chan error
		for i := range 5 {
			done := make(chan error, 1)
			ended = append(ended, done)
			go func() {
				_, _, err := get1(tr, newRequest(t, "GET", fmt.Sprintf("http://a.example/%d", i), nil))
				done <- err
			}()
		}
		synctest.Wait()
		if got := meter.byHost(t, "http.client.active_requests"); got["a.example none"] != 5 {
			t.Errorf("active requests: got %v, want 5: two run, three wait", got)
		}
		close(g.header)
		close(g.body)
		for _, done := range ended {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		if got := meter.byHost(t, "http.client.active_requests"); got["a.example none"] != 0 {
			t.Errorf("active requests: got %v, want none", got)
		}
	})
}
