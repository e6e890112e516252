package transport_test

import (
	"fmt"
	"net/http"
	"runtime"
	"testing"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/stayopen-go/stayopen/transport"
)

// attributeSets is how many data points a metric has.
func attributeSets(m metricdata.Metrics) int {
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		return len(data.DataPoints)
	case metricdata.Histogram[float64]:
		return len(data.DataPoints)
	}
	return -1
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first one finalized
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// One connection is open at a time, so that what grows is what is remembered.
func TestFiguresOf100000OriginsStayWithinTheCap(t *testing.T) {
	origins := 100_000
	if testing.Short() {
		origins = 20_000
	}
	_, tmpl := newMemory().serve(t, "h1", http.NotFoundHandler())
	meter := newMeter(t)
	tr := newTransport(t, transport.Config{Template: tmpl, MeterProvider: meter.provider, MaxConns: 1})
	before := heap()
	for i := range origins {
		if _, _, err := get1(tr, newRequest(t, "GET", fmt.Sprintf("http://host%d.example/", i), nil)); err != nil {
			t.Fatal(err)
		}
	}
	all := meter.collect(t)
	// What is remembered of origins is full after 60,000. The histograms in the
	// SDK are a good part of it.
	grown := int64(heap()) - int64(before)
	t.Logf("%d origins: the heap has grown by %d KiB", origins, grown>>10)
	if grown > 16<<20 {
		t.Errorf("the heap has grown by %d KiB with %d origins, want at most 16 MiB, however many there are", grown>>10, origins)
	}
	const cap = 256 + 1 // hosts of their own, and the others
	for name, metric := range all {
		n := attributeSets(metric)
		t.Logf("%s: %d attribute sets", name, n)
		if n > cap {
			t.Errorf("%s has %d attribute sets for %d origins, want at most %d", name, n, origins, cap)
		}
	}
	if got := attributeSets(all["http.client.connection.duration"]); got != cap {
		t.Errorf("http.client.connection.duration has %d attribute sets, want %d: of hosts of their own, and of the others", got, cap)
	}
	wantOpened(t, tr, transport.OpenFirst, uint64(origins))
	runtime.KeepAlive(tr)
}
