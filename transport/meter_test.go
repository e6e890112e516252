package transport_test

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// meter collects what a transport reports to OpenTelemetry.
type meter struct {
	provider *sdk.MeterProvider
	reader   *sdk.ManualReader
}

func newMeter(t *testing.T) *meter {
	t.Helper()
	reader := sdk.NewManualReader()
	m := &meter{sdk.NewMeterProvider(sdk.WithReader(reader)), reader}
	t.Cleanup(func() { m.provider.Shutdown(context.Background()) })
	return m
}

// collect reads all that there is: the metrics by their names.
func (m *meter) collect(t *testing.T) map[string]metricdata.Metrics {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := m.reader.Collect(context.Background(), &all); err != nil {
		t.Fatal(err)
	}
	byName := make(map[string]metricdata.Metrics)
	for _, scope := range all.ScopeMetrics {
		for _, metric := range scope.Metrics {
			byName[metric.Name] = metric
		}
	}
	return byName
}

// points are the data points of a sum. Every metric of ours is one.
func points(t *testing.T, m metricdata.Metrics) []metricdata.DataPoint[int64] {
	t.Helper()
	sum, ok := m.Data.(metricdata.Sum[int64])
	if !ok {
		t.Fatalf("%s is a %T, want a sum of integers", m.Name, m.Data)
	}
	return sum.DataPoints
}

// attr is the value of an attribute as text.
func attr(set attribute.Set, key attribute.Key) string {
	v, ok := set.Value(key)
	if !ok {
		return "none"
	}
	return v.Emit()
}

// closes are the counted closes, by "reason initiator".
func (m *meter) closes(t *testing.T) map[string]int64 {
	t.Helper()
	counts := make(map[string]int64)
	metric, ok := m.collect(t)["stayopen.connections.closed"]
	if !ok {
		return counts
	}
	for _, p := range points(t, metric) {
		counts[attr(p.Attributes, "stayopen.close.reason")+" "+attr(p.Attributes, "stayopen.close.initiator")] = p.Value
	}
	return counts
}
