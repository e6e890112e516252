package dialmetrics_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/dialer/dialmetrics"
)

// collected is what a reader finds: values by metric and attributes, such as
// "error.type=EOF stayopen.dialer=mine".
type collected map[string]map[string]int64

type meter struct {
	provider *sdk.MeterProvider
	reader   *sdk.ManualReader
}

func newMeter(t *testing.T) *meter {
	reader := sdk.NewManualReader()
	m := &meter{sdk.NewMeterProvider(sdk.WithReader(reader)), reader}
	t.Cleanup(func() { m.provider.Shutdown(context.Background()) })
	return m
}

func (m *meter) metrics(t *testing.T) map[string]metricdata.Metrics {
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

func (m *meter) collect(t *testing.T) collected {
	t.Helper()
	all := make(collected)
	for name, metric := range m.metrics(t) {
		all[name] = make(map[string]int64)
		for _, p := range metric.Data.(metricdata.Sum[int64]).DataPoints {
			all[name][text(p.Attributes)] = p.Value
		}
	}
	return all
}

func text(set attribute.Set) string {
	var all []string
	for _, kv := range set.ToSlice() {
		all = append(all, string(kv.Key)+"="+kv.Value.String())
	}
	return strings.Join(all, " ")
}

// serve accepts connections and, as told by the first byte that comes, closes or
// waits for the peer to.
func serve(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() { // ends with l
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // ends when the peer has closed
				defer c.Close()
				var b [1]byte
				if _, err := c.Read(b[:]); err == nil && b[0] == 'w' {
					io.Copy(io.Discard, c)
				}
			}()
		}
	}()
	return l.Addr().String()
}

func dial(t *testing.T, d *dialmetrics.Dialer, addr, first string) net.Conn {
	t.Helper()
	c, err := d.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, first)
	return c
}

func TestWhatIsDialedAndHowItEndsIsCounted(t *testing.T) {
	addr, m := serve(t), newMeter(t)
	d, err := dialmetrics.New(dialmetrics.Config{Name: "mine", MeterProvider: m.provider})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	open := dial(t, d, addr, "w")
	defer open.Close()
	dial(t, d, addr, "w").Close()                // by us
	dial(t, d, addr, "w").(*dialer.Conn).Reset() // by us
	passive := dial(t, d, addr, "c")             // by the peer
	passive.Read(make([]byte, 1))
	passive.Close()
	refused := refusing(t)
	if _, err := d.Dial("tcp", refused); err == nil {
		t.Error("nobody listened, and yet there is a connection")
	}
	got := d.Totals()
	if got.Dials != 5 || got.Open != 1 {
		t.Errorf("got %d dials and %d open, want 5 and 1", got.Dials, got.Open)
	}
	wantFailed := map[dialmetrics.Failure]uint64{{Step: "connect", Kind: "ECONNREFUSED"}: 1}
	if !maps.Equal(got.Failed, wantFailed) {
		t.Errorf("failed: got %v, want %v", got.Failed, wantFailed)
	}
	if runtime.GOOS == "linux" { // elsewhere it is not known who closed first
		want := map[dialmetrics.Close]uint64{{By: dialer.Local}: 1, {By: dialer.Local, Reset: true}: 1, {By: dialer.Peer}: 1}
		if !maps.Equal(got.Closed, want) || got.TimeWaits != 1 {
			t.Errorf("closed: got %v and %d TIME_WAITs, want %v and 1", got.Closed, got.TimeWaits, want)
		}
	}
	all := m.collect(t)
	for name, want := range map[string]int64{
		"stayopen.dialer.dials": 5, "stayopen.dialer.dials.failed": 1, "stayopen.dialer.connections": 1,
		"stayopen.dialer.connections.closed": 3, "stayopen.dialer.time_waits": int64(got.TimeWaits),
	} {
		var sum int64
		for attributes, n := range all[name] {
			sum += n
			if !strings.Contains(attributes, "stayopen.dialer=mine") {
				t.Errorf("%s has the attributes %s, want the dialer's name among them", name, attributes)
			}
		}
		if sum != want {
			t.Errorf("%s: got %d (%v), want %d", name, sum, all[name], want)
		}
	}
	d.Close()
	if all := m.collect(t); len(all) != 0 {
		t.Errorf("after Close: got %v, want nothing", all)
	}
}

// refusing is an address at which nobody listens.
func refusing(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestPortBudgetsAreReportedBySourceAndDestination(t *testing.T) {
	addr, m := serve(t), newMeter(t)
	ports, err := dialmetrics.ObservePorts(m.provider)
	if err != nil {
		t.Fatal(err)
	}
	defer ports.Close()
	d := &dialer.Dialer{Sources: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
	for range 3 {
		c, err := d.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.(*dialer.Conn).Reset() // which leaves no TIME_WAIT for the next test
	}
	_, port, _ := net.SplitHostPort(addr)
	at := "network.local.address=127.0.0.1 network.peer.address=127.0.0.1 network.peer.port=" + port
	all := m.collect(t)
	if got := all["stayopen.ports.in_use"][at]; got != 3 {
		t.Errorf("in use at %s: got %d, want 3", at, got)
	}
	for b := range dialer.Budgets() {
		if b.Destination.String() == addr && all["stayopen.ports.limit"][at] != int64(b.Size) {
			t.Errorf("limit: got %d, want Budget.Size, %d", all["stayopen.ports.limit"][at], b.Size)
		}
	}
	ports.Close()
	if all := m.collect(t); len(all) != 0 {
		t.Errorf("after Close: got %v, want nothing", all)
	}
}

func TestPairsBeyond256ShareOneSetOfAttributes(t *testing.T) {
	m := newMeter(t)
	ports, err := dialmetrics.ObservePorts(m.provider)
	if err != nil {
		t.Fatal(err)
	}
	defer ports.Close()
	d := &dialer.Dialer{Sources: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
	const pairs = 300
	for range pairs {
		c, err := d.Dial("tcp", serve(t))
		if err != nil {
			t.Fatal(err)
		}
		defer c.(*dialer.Conn).Reset() // which leaves no TIME_WAIT for the next test
	}
	in := m.collect(t)["stayopen.ports.in_use"]
	if len(in) != 257 {
		t.Errorf("got %d sets of attributes for %d pairs, want 257", len(in), pairs)
	}
	if got := in["network.local.address=_other network.peer.address=_other"]; got < pairs-256 {
		t.Errorf("_other has %d ports in use, want %d at least", got, pairs-256)
	}
}

var row = regexp.MustCompile(`(?m)^//\t(stayopen\.[a-z_.]+) +(\S+) +(.*)$`)

func TestDocListsEveryInstrument(t *testing.T) {
	source, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	m := newMeter(t)
	addr := serve(t)
	d, err := dialmetrics.New(dialmetrics.Config{MeterProvider: m.provider, Dialer: &dialer.Dialer{Sources: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	ports, err := dialmetrics.ObservePorts(m.provider)
	if err != nil {
		t.Fatal(err)
	}
	defer ports.Close()
	dial(t, d, addr, "w").Close()
	defer dial(t, d, addr, "w").Close()
	d.Dial("tcp", refusing(t))
	got := make(map[string]string)
	for name, metric := range m.metrics(t) {
		sum := metric.Data.(metricdata.Sum[int64])
		set := sum.DataPoints[0].Attributes
		keys := ""
		for _, kv := range set.ToSlice() {
			if kv.Key != "stayopen.dialer" {
				keys += " " + string(kv.Key)
			}
		}
		got[name] = fmt.Sprintf("%s, up-down %v%s", metric.Unit, !sum.IsMonotonic, keys)
	}
	want := make(map[string]string)
	attributes := regexp.MustCompile(`\b(?:stayopen\.(?:dial|close)\.\w+|error\.type|network\.\w+\.\w+)`)
	for _, r := range row.FindAllStringSubmatch(string(source), -1) {
		keys := attributes.FindAllString(r[3], -1)
		slices.Sort(keys)
		line := fmt.Sprintf("%s, up-down %v", r[2], strings.Contains(r[3], "up-down counter"))
		for _, key := range keys {
			line += " " + key
		}
		want[r[1]] = line
	}
	if !maps.Equal(got, want) {
		t.Errorf("reported:\n%v\ndoc.go lists:\n%v", got, want)
	}
}

func TestWithoutAMeterProviderNothingIsMade(t *testing.T) {
	if d, err := dialmetrics.New(dialmetrics.Config{}); err == nil || d != nil {
		t.Errorf("New: got %v, %v, want an error", d, err)
	}
	if p, err := dialmetrics.ObservePorts(nil); err == nil || p != nil {
		t.Errorf("ObservePorts: got %v, %v, want an error", p, err)
	}
}
