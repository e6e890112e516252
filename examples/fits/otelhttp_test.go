package fits_test

import (
	"context"
	"io"
	"net/http"
	"testing"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/stayopen-go/stayopen/transport"
)

// otelhttp around a Transport counts requests, and the Transport connections:
// neither counts what the other does.
func TestOtelhttpAroundATransportCountsNothingTwice(t *testing.T) {
	server := site()
	defer server.Close()
	reader, spans := sdkmetric.NewManualReader(), tracetest.NewSpanRecorder()
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	tr, err := transport.New(transport.Config{MeterProvider: meters, TracerProvider: tracers})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	client := &http.Client{Transport: otelhttp.NewTransport(tr, otelhttp.WithMeterProvider(meters), otelhttp.WithTracerProvider(tracers))}
	const requests = 5
	for range requests {
		resp, err := client.Get(server.URL + "/hello")
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}

	byKind := make(map[trace.SpanKind]int)
	var first trace.SpanID
	for _, s := range spans.Ended() {
		byKind[s.SpanKind()]++
		if s.SpanKind() == trace.SpanKindClient && !first.IsValid() {
			first = s.SpanContext().SpanID()
		}
	}
	if byKind[trace.SpanKindClient] != requests {
		t.Errorf("client spans: got %d, want %d, one for each request", byKind[trace.SpanKindClient], requests)
	}
	for _, s := range spans.Ended() {
		if s.Name() == "stayopen.dial" && s.Parent().SpanID() != first {
			t.Errorf("the dial's span is a child of %v, want otelhttp's first, %v", s.Parent().SpanID(), first)
		}
	}
	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &all); err != nil {
		t.Fatal(err)
	}
	scopes := make(map[string]string)
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if other, twice := scopes[m.Name]; twice {
				t.Errorf("%s is reported by %s and by %s, want one of them", m.Name, other, scope.Scope.Name)
			}
			scopes[m.Name] = scope.Scope.Name
			if h, ok := m.Data.(metricdata.Histogram[float64]); ok && m.Name == "http.client.request.duration" && h.DataPoints[0].Count != requests {
				t.Errorf("%s has %d values, want %d", m.Name, h.DataPoints[0].Count, requests)
			}
		}
	}
	for _, name := range []string{"http.client.request.duration", "http.client.open_connections"} {
		if scopes[name] == "" {
			t.Errorf("%s is not reported; there are %v", name, scopes)
		}
	}
}
