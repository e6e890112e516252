package transport

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// instrumented is a transport whose figures an SDK's reader collects a hundred
// times a second, and a connection to it.
func instrumented(tb testing.TB) (*Transport, *conn, string) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }))
	tb.Cleanup(server.Close)
	reader := sdk.NewManualReader()
	provider := sdk.NewMeterProvider(sdk.WithReader(reader))
	tb.Cleanup(func() { provider.Shutdown(context.Background()) })
	t, err := New(Config{Template: new(http.Transport), MeterProvider: provider})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { t.Close() })
	request(tb, t, server.URL)
	var c *conn
	t.pool.EachConn(func(there *conn, _ int) { c = there })
	var collecting sync.WaitGroup
	stop := make(chan struct{}) // closed with the test
	collecting.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		var all metricdata.ResourceMetrics
		for {
			select {
			case <-tick.C:
				reader.Collect(context.Background(), &all)
			case <-stop:
				return
			}
		}
	})
	tb.Cleanup(func() { close(stop); collecting.Wait() })
	return t, c, server.URL
}

func request(tb testing.TB, t *Transport, url string) {
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		tb.Fatal(err)
	}
	resp, err := t.RoundTrip(req)
	if err != nil {
		tb.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
}

// instrument is all that a request which finds an idle connection does for the
// figures' sake.
func instrument(t *Transport, c *conn) {
	t.count.requests.Add(1)
	t.count.attempt(c)
	t.count.exchange(c)
}

// BenchmarkInstrumentation sets what a request does for the figures' sake against
// the request, over loopback. share is the one over the other.
func BenchmarkInstrumentation(b *testing.B) {
	t, c, url := instrumented(b)
	var alone, whole float64
	b.Run("part=instrumentation", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			instrument(t, c)
		}
		alone = float64(b.Elapsed()) / float64(b.N)
	})
	b.Run("part=request", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			request(b, t, url)
		}
		whole = float64(b.Elapsed()) / float64(b.N)
		if alone > 0 {
			b.ReportMetric(100*alone/whole, "share-%")
		}
	})
}

func TestTheFiguresCostARequestNoAllocationAndAFiftiethOfItsTimeAtMost(t *testing.T) {
	tr, c, url := instrumented(t)
	if n := testing.AllocsPerRun(1000, func() { instrument(tr, c) }); n >= 1 {
		t.Errorf("the figures cost %v allocations, want 0", n)
	}
	// The quickest of several runs of each: what else the machine does is not
	// counted.
	time1 := func(n int, f func()) time.Duration {
		best := time.Hour
		for range 10 {
			start := time.Now()
			for range n {
				f()
			}
			best = min(best, time.Since(start)/time.Duration(n))
		}
		return best
	}
	alone, whole := time1(10_000, func() { instrument(tr, c) }), time1(200, func() { request(t, tr, url) })
	t.Logf("%v of %v", alone, whole)
	if alone > whole/50 {
		t.Errorf("the figures cost %v of a request's %v, want 2 %% at most", alone, whole)
	}
}
