package poolmetrics_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/stayopen-go/stayopen/pool"
	"github.com/stayopen-go/stayopen/pool/poolmetrics"
)

// collect returns the metrics by name.
func collect(t *testing.T, reader *sdk.ManualReader) map[string]metricdata.Metrics {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &all); err != nil {
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

// sum adds up a metric's values, and returns the attributes of a point.
func sum(t *testing.T, m metricdata.Metrics) (total float64, upDown bool, keys []string) {
	t.Helper()
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		for _, p := range data.DataPoints {
			total += float64(p.Value)
			keys = nil
			for _, kv := range p.Attributes.ToSlice() {
				keys = append(keys, string(kv.Key))
			}
		}
		return total, !data.IsMonotonic, keys
	case metricdata.Sum[float64]:
		return data.DataPoints[0].Value, !data.IsMonotonic, []string{"stayopen.pool"}
	}
	t.Fatalf("%s is a %T", m.Name, m.Data)
	return 0, false, nil
}

var errRefused = errors.New("refused")

func TestEveryMetricIsListedAndReadsAsThePoolsFigures(t *testing.T) {
	reader := sdk.NewManualReader()
	provider := sdk.NewMeterProvider(sdk.WithReader(reader))
	defer provider.Shutdown(context.Background())
	closed := make(chan string, 10)
	p, err := pool.New(pool.Config[string, string]{
		Dial: func(_ context.Context, key string, _ *pool.Conn[string, string]) (string, int, error) {
			if key == "refused" {
				return "", 0, errRefused
			}
			return key, 1, nil
		},
		Close: func(c string, _ pool.Reason) { closed <- c },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	figures, err := poolmetrics.Observe(p, poolmetrics.Config{Name: "mine", MeterProvider: provider})
	if err != nil {
		t.Fatal(err)
	}
	defer figures.Close()
	get := func(key string) *pool.Lease[string, string] {
		l, err := p.Get(context.Background(), key)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	if _, err := p.Get(context.Background(), "refused"); err != errRefused {
		t.Errorf("got %v, want %v", err, errRefused)
	}
	get("a").Release()
	get("a").Retire("tired")
	<-closed
	held := get("a")
	defer held.Release()

	s, totals := p.Stats(), p.Totals()
	all := collect(t, reader)
	source, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{
		"Stats.Open": float64(s.Open), "Stats.Leases": float64(s.Leases), "Stats.Dialing": float64(s.Dialing), "Stats.Waiting": float64(s.Waiting),
		"Totals.Leases": float64(totals.Leases), "Totals.Reused": float64(totals.Reused), "Totals.Waited": float64(totals.Waited),
		"Totals.WaitTime": totals.WaitTime.Seconds(), "Totals.Refused": float64(totals.Refused), "Totals.FailedDials": float64(totals.FailedDials),
		"Totals.Opened": 2, "Totals.Closed": 1, // as this test knows
	}
	attributes := regexp.MustCompile(`\bstayopen\.(?:open|close|connection)\.(?:reason|state)\b`)
	var listed []string
	for _, row := range regexp.MustCompile(`(?m)^//\t(stayopen\.[a-z_.]+) +(\S+) +((?:Stats|Totals)\.\w+)(.*)$`).FindAllStringSubmatch(string(source), -1) {
		name, unit, field, rest := row[1], row[2], row[3], row[4]
		listed = append(listed, name)
		m, there := all[name]
		if !there || m.Unit != unit || m.Description == "" {
			t.Errorf("%s: reported %v, in %q, described as %q; doc.go says that it is there, in %q", name, there, m.Unit, m.Description, unit)
			continue
		}
		got, upDown, keys := sum(t, m)
		if got != want[field] || upDown != strings.Contains(rest, "up-down counter") {
			t.Errorf("%s: got %v, up-down %v, want %s, %v", name, got, upDown, field, want[field])
		}
		wantKeys := append(attributes.FindAllString(rest, -1), "stayopen.pool")
		slices.Sort(wantKeys)
		if fmt.Sprint(keys) != fmt.Sprint(wantKeys) {
			t.Errorf("%s has the attributes %v, doc.go says %v", name, keys, wantKeys)
		}
	}
	slices.Sort(listed)
	if got := slices.Sorted(maps.Keys(all)); !slices.Equal(got, listed) {
		t.Errorf("reported:\n%v\ndoc.go lists:\n%v", got, listed)
	}
	figures.Close()
	if all := collect(t, reader); len(all) != 0 {
		t.Errorf("after Close: got %v, want nothing", all)
	}
}

func TestWithoutAMeterProviderObserveFails(t *testing.T) {
	if f, err := poolmetrics.Observe(nil, poolmetrics.Config{}); err == nil || f != nil {
		t.Errorf("got %v, %v, want an error", f, err)
	}
}
