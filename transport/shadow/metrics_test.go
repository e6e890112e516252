package shadow_test

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/stayopen-go/stayopen/transport/shadow"
)

// metricRow is a row of the table in doc.go: name, unit, type, field, the rest.
var metricRow = regexp.MustCompile(`(?m)^//\t(stayopen\.[a-z_.]+) +(\S+) +(Counts|Estimate)\.(\w+)(.*)$`)

func collect(t *testing.T, reader *sdk.ManualReader) map[string]metricdata.Metrics {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &all); err != nil {
		t.Fatal(err)
	}
	byName := make(map[string]metricdata.Metrics)
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			byName[m.Name] = m
		}
	}
	return byName
}

func TestEveryMetricReadsTheSameAsItsFieldOfStats(t *testing.T) {
	s := serve(t, "https1", eventful(make(chan struct{}, 9), nil))
	reader := sdk.NewManualReader()
	sh, err := shadow.New(shadow.Config{Base: s.likeDefault(t), Name: "mine", MeterProvider: sdk.NewMeterProvider(sdk.WithReader(reader))})
	if err != nil {
		t.Fatal(err)
	}
	get(t, sh, "https://a.example/")
	get(t, sh, "https://a.example/")
	leave(t, sh, "https://a.example/long")
	stats := settled(t, s, sh)
	// In a model the last request may end a moment later than it did.
	wait(t, func() bool { stats = sh.Stats(); return stats.Default.Closed == 1 && stats.StayOpen.Closed == 1 }, func() string {
		return fmt.Sprintf("%+v, want the connection of the body that was left closed by the models, too", stats)
	})

	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	rows := metricRow.FindAllStringSubmatch(string(text), -1)
	collected := collect(t, reader)
	if len(rows) != len(collected) {
		t.Errorf("doc.go lists %d metrics, %d are reported", len(rows), len(collected))
	}
	for _, row := range rows {
		name, unit, kind, field := row[1], row[2], row[3], row[4]
		m := collected[name]
		sum, ok := m.Data.(metricdata.Sum[int64])
		upDown := regexp.MustCompile("up-down").MatchString(row[5])
		if !ok || m.Unit != unit || m.Description == "" || sum.IsMonotonic == upDown {
			t.Errorf("%s: a %T in %q (%s), monotonic %v; want a sum in %q, monotonic %v, with a description", name, m.Data, m.Unit, m.Description, sum.IsMonotonic, unit, !upDown)
		}
		want := map[string]any{"": stats.Counts}
		if kind == "Estimate" {
			want = map[string]any{"stayopen": stats.StayOpen, "default_transport": stats.Default}
		}
		if len(sum.DataPoints) != len(want) {
			t.Errorf("%s has %d points, want %d", name, len(sum.DataPoints), len(want))
		}
		for _, p := range sum.DataPoints {
			which, _ := p.Attributes.Value("stayopen.shadow.model")
			if of, _ := p.Attributes.Value("stayopen.transport"); of.AsString() != "mine" {
				t.Errorf("%s is of %q, want Config.Name", name, of.AsString())
			}
			value := reflect.ValueOf(want[which.AsString()]).FieldByName(field)
			if value.CanUint() && uint64(p.Value) != value.Uint() || value.CanInt() && p.Value != value.Int() {
				t.Errorf("%s reads %d, want %s.%s of %q, %v", name, p.Value, kind, field, which.AsString(), value)
			}
		}
	}
	for _, name := range []string{"requests", "exchanges", "connections.opened", "connections.reused", "handshakes", "bodies", "bodies.abandoned", "estimate.opened"} {
		if sum, ok := collected["stayopen.shadow."+name].Data.(metricdata.Sum[int64]); ok && slices.ContainsFunc(sum.DataPoints, func(p metricdata.DataPoint[int64]) bool { return p.Value == 0 }) {
			t.Errorf("%s is zero, so that nothing was compared", name)
		}
	}
	sh.Close()
	if left := collect(t, reader); len(left) != 0 {
		t.Errorf("%d metrics are reported after Close, want none", len(left))
	}
}
