package transport_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/stayopen-go/stayopen/transport"
)

// documented is a row of the table of metrics in doc.go.
type documented struct {
	name, unit string
	field      string   // of Stats; empty if none is named
	upDown     bool     // the table says that it is an up-down counter
	histogram  bool     // the table says that it is one
	attributes []string // besides stayopen.transport
}

var (
	metricRow     = regexp.MustCompile(`(?m)^//\t([a-z_.]+\.[a-z_.]+) +(\S+) +(.*)$`)
	statsField    = regexp.MustCompile(`\bStats\.(\w+)`)
	attributeName = regexp.MustCompile(`\b(?:stayopen\.(?:close|open|dial)\.(?:reason|initiator|step)|error\.type|http\.connection\.\w+|server\.\w+|network\.protocol\.version|tls\.resumed)`)
)

// documentedMetrics reads doc.go's table.
func documentedMetrics(t *testing.T) map[string]documented {
	t.Helper()
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[string]documented)
	for _, m := range metricRow.FindAllStringSubmatch(string(text), -1) {
		row := documented{name: m[1], unit: m[2], attributes: attributeName.FindAllString(m[3], -1)}
		if f := statsField.FindStringSubmatch(m[3]); f != nil {
			row.field = f[1]
		}
		row.upDown, row.histogram = strings.Contains(m[3], "up-down counter"), strings.Contains(m[3], "histogram")
		rows[row.name] = row
	}
	if len(rows) < 10 {
		t.Fatalf("found %d metrics in doc.go; has its table changed its form?", len(rows))
	}
	return rows
}

// eventful sends requests of all kinds, so that no figure stays at zero, and
// leaves one connection idle.
func eventful(t *testing.T, m *memory, tr *transport.Transport) {
	t.Helper()
	ask := func(url string, patience time.Duration) (*http.Response, error) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		t.Cleanup(cancel)
		return tr.RoundTrip(newRequest(t, "GET", url, nil).WithContext(ctx))
	}
	if _, err := ask("http://late.example/", time.Millisecond); err == nil {
		t.Error("no failure")
	}
	pass(time.Minute) // the dial ends, and nobody uses its connection
	if _, err := ask("http://refused.example/", time.Hour); err == nil {
		t.Error("no dial failed")
	}
	resp, err := ask("http://slow.example/part", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	pass(time.Second)
	for range 3 {
		resp, err := ask("http://a.example/part", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close() // and the rest is drained
		pass(time.Second)
	}
	resp, err = ask("http://a.example/endless", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	pass(time.Second)
	resp, err = ask("http://a.example/part", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	pass(time.Second)
}

// refusing makes dials to a host fail.
func refusing(host string, tmpl *http.Transport) *http.Transport {
	dial := tmpl.DialContext
	tmpl.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if name, _, _ := net.SplitHostPort(addr); name == host {
			return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
		}
		return dial(ctx, network, addr)
	}
	return tmpl
}

// serveEvents is the server for eventful, and a template for it.
func serveEvents(t *testing.T, m *memory) *http.Transport {
	_, tmpl := m.serve(t, "h1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/part":
			io.WriteString(w, "some")
			http.NewResponseController(w).Flush()
			pass(time.Millisecond)
			io.WriteString(w, "thing")
		case "/endless":
			io.Copy(w, zeros{})
		}
	}))
	return refusing("refused.example", slowTo("slow.example", slowTo("late.example", tmpl)))
}

func TestEveryMetricReadsTheSameAsItsFieldOfStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, meter := newMemory(), newMeter(t)
		tr := newTransport(t, transport.Config{Name: "mine", Template: serveEvents(t, m), MeterProvider: meter.provider, CompareDefault: true})
		eventful(t, m, tr)
		synctest.Wait()

		stats := reflect.ValueOf(tr.Stats())
		collected := meter.collect(t)
		rows := documentedMetrics(t)
		if got, want := slices.Sorted(maps.Keys(collected)), slices.Sorted(maps.Keys(rows)); !slices.Equal(got, want) {
			t.Errorf("metrics reported\n%s\nwant those that doc.go lists\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		for name, row := range rows {
			metric := collected[name]
			if metric.Unit != row.unit {
				t.Errorf("%s: unit %q, doc.go says %q", name, metric.Unit, row.unit)
			}
			if metric.Description == "" {
				t.Errorf("%s has no description", name)
			}
			if row.histogram {
				compareHistogram(t, metric, row, tr.Stats())
				continue
			}
			sum, ok := metric.Data.(metricdata.Sum[int64])
			if !ok || sum.Temporality != metricdata.CumulativeTemporality || sum.IsMonotonic == row.upDown {
				t.Errorf("%s is a %T, %v, monotonic %v; want a cumulative sum, monotonic %v", name, metric.Data, sum.Temporality, sum.IsMonotonic, !row.upDown)
			}
			var total int64
			want := append([]string{"stayopen.transport"}, row.attributes...)
			slices.Sort(want)
			for _, p := range sum.DataPoints {
				total += p.Value
				if got := keys(p.Attributes); !slices.Equal(got, want) {
					t.Errorf("%s has the attributes %v, doc.go says %v", name, got, want)
				}
				if got := attr(p.Attributes, "stayopen.transport"); got != "mine" {
					t.Errorf("%s has stayopen.transport = %q, want Config.Name", name, got)
				}
			}
			got := stats.FieldByName(row.field)
			want64 := int64(-1)
			switch {
			case !got.IsValid():
			case got.CanUint():
				want64 = int64(got.Uint())
			default:
				want64 = got.Int()
			}
			if total != want64 {
				t.Errorf("%s reads %d, want Stats.%s, %v", name, total, row.field, got)
			}
			// Retries and TIME_WAITs need sockets, handshakes TLS, and what is active
			// requests under way; they are held elsewhere.
			elsewhere := []string{"Retries", "TimeWaits", "TLSHandshakes", "Active"}
			if total == 0 && !slices.Contains(elsewhere, row.field) {
				t.Errorf("%s is zero, so that nothing was compared", name)
			}
		}
	})
}

// compareHistogram holds a histogram against what Stats has of it.
func compareHistogram(t *testing.T, metric metricdata.Metrics, row documented, s transport.Stats) {
	t.Helper()
	data, ok := metric.Data.(metricdata.Histogram[float64])
	if !ok || data.Temporality != metricdata.CumulativeTemporality {
		t.Fatalf("%s is a %T, want a cumulative histogram", row.name, metric.Data)
	}
	var count uint64
	var sum float64
	want := append([]string{"stayopen.transport"}, row.attributes...)
	slices.Sort(want)
	for _, p := range data.DataPoints {
		count += p.Count
		sum += p.Sum
		if got := keys(p.Attributes); !slices.Equal(got, want) {
			t.Errorf("%s has the attributes %v, doc.go says %v", row.name, got, want)
		}
	}
	wantCount := s.Closed // of which none failed before it stood
	if row.field == "WaitTime" {
		wantCount = s.Waited
		if diff := sum - s.WaitTime.Seconds(); diff > 1e-9 || diff < -1e-9 {
			t.Errorf("%s adds up to %v s, want Stats.WaitTime, %v", row.name, sum, s.WaitTime)
		}
	}
	if count != wantCount || count == 0 {
		t.Errorf("%s has %d values, want %d and not none", row.name, count, wantCount)
	}
}

func keys(set attribute.Set) []string {
	var names []string
	for _, kv := range set.ToSlice() {
		names = append(names, string(kv.Key))
	}
	slices.Sort(names)
	return names
}

// open is http.client.open_connections by "host:port state".
func (m *meter) open(t *testing.T) map[string]int64 {
	t.Helper()
	counts := make(map[string]int64)
	for _, p := range points(t, m.collect(t)["http.client.open_connections"]) {
		key := attr(p.Attributes, "server.address") + ":" + attr(p.Attributes, "server.port") + " " + attr(p.Attributes, "http.connection.state")
		if _, twice := counts[key]; twice {
			t.Errorf("%s is reported twice", key)
		}
		counts[key] = p.Value
	}
	return counts
}

func TestOpenConnectionsAreReportedByStateAndHost(t *testing.T) {
	for _, mode := range []string{"h1", "h2"} {
		t.Run(mode, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, meter := newGated(), newMeter(t)
				_, tmpl := newMemory().serve(t, mode, g)
				scheme, port, active := "http://", ":80", int64(2)
				if mode == "h2" {
					tmpl.TLSClientConfig.InsecureSkipVerify = true
					scheme, port, active = "https://", ":443", 1 // two streams on one connection
				}
				tr := newTransport(t, transport.Config{Template: tmpl, MeterProvider: meter.provider})
				first, second := inBackground(t, tr, scheme+"a.example/"), inBackground(t, tr, scheme+"a.example/")
				third := inBackground(t, tr, scheme+"b.example:8080/")
				want := map[string]int64{
					"a.example" + port + " active": active, "a.example" + port + " idle": 0,
					"b.example:8080 active": 1, "b.example:8080 idle": 0,
				}
				if got := meter.open(t); !maps.Equal(got, want) {
					t.Errorf("while requests run: %v, want %v", got, want)
				}
				close(g.header)
				close(g.body)
				<-first
				<-second
				<-third
				synctest.Wait()
				want = map[string]int64{
					"a.example" + port + " active": 0, "a.example" + port + " idle": active,
					"b.example:8080 active": 0, "b.example:8080 idle": 1,
				}
				if got := meter.open(t); !maps.Equal(got, want) {
					t.Errorf("when they have ended: %v, want %v", got, want)
				}
			})
		})
	}
}

func TestHostsBeyond256ShareOneAddress(t *testing.T) {
	const hosts, limit = 300, 256
	inBubble(t, func(t *testing.T, _ *memory, tmpl *http.Transport) {
		meter := newMeter(t)
		tr := newTransport(t, transport.Config{Template: tmpl, MeterProvider: meter.provider})
		var names []string
		for i := range hosts {
			names = append(names, fmt.Sprintf("site%d.example", i))
		}
		burst(t, tr, hosts, names...)
		got := meter.open(t)
		if got["_other:none idle"] != hosts-limit || got["_other:none active"] != 0 {
			t.Errorf("_other has %d idle and %d active, want %d and 0, and no port", got["_other:none idle"], got["_other:none active"], hosts-limit)
		}
		delete(got, "_other:none idle")
		delete(got, "_other:none active")
		if len(got) != 2*limit {
			t.Errorf("%d points for hosts of their own, want two for each of %d", len(got), limit)
		}
		for key, n := range got {
			if want := int64(strings.Count(key, " idle")); n != want {
				t.Errorf("%s is %d, want %d", key, n, want)
			}
		}
	})
}

func TestTransportsOfOneProviderAreToldApartAndLeaveAlone(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *memory, tmpl *http.Transport) {
		meter := newMeter(t)
		requests := func() map[string]int64 {
			counts := make(map[string]int64)
			if metric, ok := meter.collect(t)["stayopen.requests"]; ok {
				for _, p := range points(t, metric) {
					counts[attr(p.Attributes, "stayopen.transport")] = p.Value
				}
			}
			return counts
		}
		named := newTransport(t, transport.Config{Name: "crawler", Template: tmpl, MeterProvider: meter.provider})
		unnamed := newTransport(t, transport.Config{Template: tmpl, MeterProvider: meter.provider})
		burst(t, named, 3, "a.example")
		burst(t, unnamed, 2, "a.example")
		for _, step := range []struct {
			close func() error
			want  map[string]int64
		}{
			{func() error { return nil }, map[string]int64{"crawler": 3, "default": 2}},
			{unnamed.Close, map[string]int64{"crawler": 3}},
			{func() error { return named.Shutdown(context.Background()) }, map[string]int64{}},
		} {
			if err := step.close(); err != nil {
				t.Fatal(err)
			}
			if got := requests(); !maps.Equal(got, step.want) {
				t.Errorf("requests by transport: %v, want %v", got, step.want)
			}
		}
	})
}

// globalMeter becomes OpenTelemetry's global provider, which a process can put
// in place of the first one, that does nothing, only once.
var globalMeter = sync.OnceValue(func() *meter {
	reader := sdk.NewManualReader()
	m := &meter{sdk.NewMeterProvider(sdk.WithReader(reader)), reader}
	otel.SetMeterProvider(m.provider)
	return m
})

func TestMetricsGoToTheGlobalProviderIfNoneIsGiven(t *testing.T) {
	s := serve(t, "h1", http.NotFoundHandler())
	tr := newTransport(t, transport.Config{Name: t.Name(), Template: s.template("h1")})
	mustGet(t, &http.Client{Transport: tr}, s.URL)
	metric := globalMeter().collect(t)["stayopen.exchanges"] // installed after New, as programs may
	for _, p := range points(t, metric) {
		if attr(p.Attributes, "stayopen.transport") == t.Name() {
			if p.Value != 1 {
				t.Errorf("%d exchanges reported, want 1", p.Value)
			}
			return
		}
	}
	t.Error("nothing was reported to the global provider")
}
