package transport_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/stayopen-go/stayopen/transport"
)

// TestStatsAtRestAgreeWithTheServersOwnCountsAndWithOpenTelemetry puts a load on
// a transport that has in it whatever makes counting hard, and then asks the
// servers what really happened.
func TestStatsAtRestAgreeWithTheServersOwnCountsAndWithOpenTelemetry(t *testing.T) {
	requests := 3000
	if testing.Short() {
		requests = 1500
	}
	m := newMeter(t)
	load := newMixedLoad(t)
	tr := newTransport(t, transport.Config{Template: load.template(), MeterProvider: m.provider})
	load.run(tr, requests)
	await(t, "the transport to be at rest", func() bool {
		st := tr.Stats()
		return st.Active == 0 && st.Waiting == 0 && st.Dialing == 0
	})
	load.awaitServers(t)
	await(t, "the servers to accept all connections", func() bool { return load.truth().Accepts >= tr.Stats().Opened })
	st, metrics := atOnce(t, tr, m)
	t.Logf("%+v\ncloses: %v\nfailed as they were to: %v", st, m.closes(t), load.failures)

	truth := load.truth()
	for name, pair := range map[string][2]uint64{
		"Exchanges, and the servers' answers":                                {st.Exchanges, truth.Answers},
		"Served, and the servers' connections with an answered request":      {st.Served, truth.Served},
		"Opened, and the connections that the servers accepted":              {st.Opened, truth.Accepts},
		"ClosesAvoided, and Exchanges - Served":                              {st.ClosesAvoided, st.Exchanges - st.Served},
		"Opened, and Served + Wasted + those on which every exchange failed": {st.Opened, st.Served + st.Wasted + load.barren()},
		"Requests, and the requests made":                                    {st.Requests, uint64(requests)},
		"Failed, and the requests that returned an error":                    {st.Failed, load.failed()},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %d and %d, want the same", name, pair[0], pair[1])
		}
	}
	checkMeter(t, metrics, st)
	checkReasons(t, m, st)
	load.checkMixed(t, st, m.closes(t))

	tr.Close()
	await(t, "every connection to be counted as closed", func() bool {
		st := tr.Stats()
		return st.Closed == st.Opened && st.Open == 0
	})
}

// What http.Transport lets a caller see, through httptrace, does not add up.
func TestHTTPTraceOverNetHTTPDoesNotTellWhatStatsTell(t *testing.T) {
	load := newMixedLoad(t)
	plain := load.template()
	plain.MaxIdleConnsPerHost = callers
	load.run(plain, 1500)
	plain.CloseIdleConnections()
	load.awaitServers(t)
	truth := load.truth()
	reused, opened := load.reused.Load(), uint64(len(load.used))
	t.Logf("traced: %d opened, %d reused; the servers: %+v", opened, reused, truth)
	if reused == truth.Answers-truth.Served && opened == truth.Accepts {
		t.Errorf("got %d opened and %d reused from httptrace, as many as there were: the run is void", opened, reused)
	}
}

// checkMixed holds that the load was as mixed as it is meant to be.
func (l *mixedLoad) checkMixed(t *testing.T, st transport.Stats, closes map[string]int64) {
	t.Helper()
	byReason := make(map[string]int64)
	for key, n := range closes {
		reason, _, _ := strings.Cut(key, " ")
		byReason[reason] += n
	}
	for what, n := range map[string]int64{
		"a stale connection":                  byReason["peer_closed"] + byReason["goaway"],
		"a cancel":                            byReason["canceled"],
		"an upgrade":                          byReason["upgraded"],
		"an abandoned body":                   byReason["body_abandoned"],
		"a drained body":                      int64(st.DrainedBytes),
		"a failed handshake":                  byReason["setup_failed"],
		"a retry":                             int64(st.Retries),
		"a connection that nobody used":       int64(st.Wasted),
		"a connection that answered nobody":   int64(l.barren()),
		"an exchange over HTTP/2":             l.servers["h2"].answers.Load(),
		"a POST that failed":                  int64(l.failures["aborted POST"]),
		"a body that failed":                  int64(l.failures["failing body"]),
		"a GET canceled without an answer":    int64(l.failures["canceled GET"]),
		"a response whose body was cut short": int64(l.failures["torn response"]),
	} {
		if n == 0 {
			t.Errorf("the load had not %s in it, want at least one: the run is void", what)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(l.unexpected)) {
		t.Errorf("%s: %v", kind, l.unexpected[kind])
	}
}

// atOnce reads Stats and OpenTelemetry's figures between two changes of them,
// and while nothing is being closed: the servers go on ending what is idle.
func atOnce(t *testing.T, tr *transport.Transport, m *meter) (st transport.Stats, metrics map[string]metricdata.Metrics) {
	t.Helper()
	await(t, "the figures to stand still for a moment", func() bool {
		st = tr.Stats()
		metrics = m.collect(t)
		return st == tr.Stats() && uint64(st.Open)+st.Closed == st.Opened
	})
	return st, metrics
}

// checkReasons holds why connections were opened against why they were closed.
func checkReasons(t *testing.T, m *meter, st transport.Stats) {
	t.Helper()
	closed := make(map[string]int64)
	for key, n := range m.closes(t) {
		why, _, _ := strings.Cut(key, " ")
		closed[why] += n
	}
	var sum uint64
	for why, n := range st.OpenedBecause.All() {
		sum += n
		switch why {
		case transport.OpenFirst, transport.OpenBusy, transport.OpenPartition:
		case "max_leases", transport.OpenAged, transport.OpenIdleTimeout: // and may end otherwise before it is closed for that
		default:
			if lost := closed[string(why)]; int64(n) > lost {
				t.Errorf("%d connections were opened in place of those closed for %q, of which there were %d", n, why, lost)
			}
		}
	}
	if sum != st.Opened {
		t.Errorf("opened by reason: %d in all (%v), want Stats.Opened, %d", sum, st.OpenedBecause, st.Opened)
	}
}

// checkMeter holds what OpenTelemetry's SDK has read against Stats.
func checkMeter(t *testing.T, metrics map[string]metricdata.Metrics, st transport.Stats) {
	t.Helper()
	for name, want := range map[string]uint64{
		"stayopen.requests":            st.Requests,
		"stayopen.requests.failed":     st.Failed,
		"stayopen.retries":             st.Retries,
		"stayopen.exchanges":           st.Exchanges,
		"stayopen.connections.opened":  st.Opened,
		"stayopen.connections.served":  st.Served,
		"stayopen.connections.wasted":  st.Wasted,
		"stayopen.connections.reused":  st.Reused,
		"stayopen.connections.closed":  st.Closed,
		"stayopen.closes.avoided":      st.ClosesAvoided,
		"stayopen.time_waits":          st.TimeWaits,
		"stayopen.tls.handshakes":      st.TLSHandshakes,
		"stayopen.waits":               st.Waited,
		"stayopen.drained":             st.DrainedBytes,
		"http.client.open_connections": uint64(st.Open),
	} {
		var got int64
		if metric, ok := metrics[name]; ok { // no host has anything open: no figure
			for _, p := range points(t, metric) {
				got += p.Value
			}
		}
		if got != int64(want) {
			t.Errorf("%s = %d, want %d, as Stats has it", name, got, want)
		}
	}
}
