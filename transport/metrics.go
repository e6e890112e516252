package transport

import (
	"context"
	"runtime/debug"
	"strconv"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/stayopen-go/stayopen/pool"
)

// scope is the instrumentation scope's name: this package's import path.
const scope = "github.com/stayopen-go/stayopen/transport"

// maxHosts bounds how many hosts get attributes of their own in one collection;
// the others are summed up under server.address "_other".
const maxHosts = 256

// metrics observes a transport's counters when, and only when, a reader
// collects. The hot path knows nothing of it.
type metrics struct {
	t      *Transport
	name   attribute.KeyValue
	plain  metric.MeasurementOption
	closed [len(reasons)][len(initiators)]metric.MeasurementOption
	tls    [2]metric.MeasurementOption // a full handshake, a resumed one

	totals       []total
	closedTotal  metric.Int64ObservableCounter
	handshakes   metric.Int64ObservableCounter
	open         metric.Int64ObservableUpDownCounter
	registration metric.Registration
	once         sync.Once
}

// total is a figure of Stats with its instrument.
type total struct {
	instrument metric.Int64Observable
	value      func(Stats) uint64
}

func newMetrics(t *Transport, name string, provider metric.MeterProvider) (*metrics, error) {
	if provider == nil {
		provider = otel.GetMeterProvider()
	}
	m := &metrics{t: t, name: attribute.String("stayopen.transport", name)}
	m.plain = metric.WithAttributeSet(attribute.NewSet(m.name))
	for i, why := range reasons {
		for j, by := range initiators {
			m.closed[i][j] = metric.WithAttributeSet(attribute.NewSet(m.name,
				attribute.String("stayopen.close.initiator", string(by)),
				attribute.String("stayopen.close.reason", string(why))))
		}
	}
	for i := range m.tls {
		m.tls[i] = metric.WithAttributeSet(attribute.NewSet(m.name, attribute.Bool("tls.resumed", i == 1)))
	}
	return m, m.register(provider.Meter(scope, metric.WithInstrumentationVersion(version())))
}

// register creates the instruments. Their names and units are listed in doc.go.
func (m *metrics) register(meter metric.Meter) error {
	var errs []error
	counter := func(name, unit, text string, value func(Stats) uint64) {
		i, err := meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(text))
		errs = append(errs, err)
		m.totals = append(m.totals, total{i, value})
	}
	counter("stayopen.requests", "{request}", "Requests given to the transport.", func(s Stats) uint64 { return s.Requests })
	counter("stayopen.requests.failed", "{request}", "Requests that returned an error.", func(s Stats) uint64 { return s.Failed })
	counter("stayopen.retries", "{attempt}", "Attempts beyond a request's first.", func(s Stats) uint64 { return s.Retries })
	counter("stayopen.exchanges", "{exchange}", "Final response headers received.", func(s Stats) uint64 { return s.Exchanges })
	counter("stayopen.connections.opened", "{connection}", "Connections established.", func(s Stats) uint64 { return s.Opened })
	counter("stayopen.connections.served", "{connection}", "Connections with at least one exchange.", func(s Stats) uint64 { return s.Served })
	counter("stayopen.connections.reused", "{attempt}", "Attempts on a connection that had served before.", func(s Stats) uint64 { return s.Reused })
	counter("stayopen.closes.avoided", "{close}", "Exchanges on a connection that had served before.", func(s Stats) uint64 { return s.ClosesAvoided })
	counter("stayopen.time_waits", "{socket}", "Closes that left a TIME_WAIT on this host.", func(s Stats) uint64 { return s.TimeWaits })
	counter("stayopen.waits", "{attempt}", "Attempts that waited for a connection.", func(s Stats) uint64 { return s.Waited })
	counter("stayopen.drained", "By", "Read from response bodies that were closed early.", func(s Stats) uint64 { return s.DrainedBytes })

	wasted, err := meter.Int64ObservableUpDownCounter("stayopen.connections.wasted", metric.WithUnit("{connection}"),
		metric.WithDescription("Connections established that no request has used."))
	errs = append(errs, err)
	m.totals = append(m.totals, total{wasted, func(s Stats) uint64 { return s.Wasted }})
	m.closedTotal, err = meter.Int64ObservableCounter("stayopen.connections.closed", metric.WithUnit("{connection}"),
		metric.WithDescription("Connections closed."))
	errs = append(errs, err)
	m.handshakes, err = meter.Int64ObservableCounter("stayopen.tls.handshakes", metric.WithUnit("{handshake}"),
		metric.WithDescription("TLS handshakes that succeeded."))
	errs = append(errs, err)
	m.open, err = meter.Int64ObservableUpDownCounter("http.client.open_connections", metric.WithUnit("{connection}"),
		metric.WithDescription("Number of outbound HTTP connections that are currently active or idle on the client."))
	errs = append(errs, err)
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	instruments := []metric.Observable{m.closedTotal, m.handshakes, m.open}
	for _, total := range m.totals {
		instruments = append(instruments, total.instrument)
	}
	m.registration, err = meter.RegisterCallback(m.observe, instruments...)
	return err
}

func (m *metrics) observe(_ context.Context, o metric.Observer) error {
	s := m.t.Stats()
	for _, total := range m.totals {
		o.ObserveInt64(total.instrument, int64(total.value(s)), m.plain)
	}
	for i := range reasons {
		for j := range initiators {
			if n := m.t.count.byReason[i][j].Load(); n > 0 {
				o.ObserveInt64(m.closedTotal, int64(n), m.closed[i][j])
			}
		}
	}
	o.ObserveInt64(m.handshakes, int64(s.TLSHandshakes-s.TLSResumed), m.tls[0])
	o.ObserveInt64(m.handshakes, int64(s.TLSResumed), m.tls[1])
	for h, n := range m.openByHost() {
		o.ObserveInt64(m.open, n.active, m.hostOption(h, "active"))
		o.ObserveInt64(m.open, n.idle, m.hostOption(h, "idle"))
	}
	return nil
}

type host struct{ addr, port string }

type openConns struct{ active, idle int64 }

// openByHost sums up the pool's origins: one host may be reached in several
// ways.
func (m *metrics) openByHost() map[host]openConns {
	sums := make(map[host]openConns)
	m.t.pool.Each(func(o origin, s pool.Stats) {
		var h host
		h.addr, h.port = o.server()
		if _, known := sums[h]; !known && len(sums) >= maxHosts {
			h = host{addr: "_other"}
		}
		n := sums[h]
		n.active += int64(s.Open - s.Idle)
		n.idle += int64(s.Idle)
		sums[h] = n
	})
	return sums
}

func (m *metrics) hostOption(h host, state string) metric.MeasurementOption {
	kvs := []attribute.KeyValue{
		m.name,
		attribute.String("http.connection.state", state),
		attribute.String("server.address", h.addr),
	}
	if port, err := strconv.Atoi(h.port); err == nil {
		kvs = append(kvs, attribute.Int("server.port", port))
	}
	return metric.WithAttributes(kvs...)
}

func (m *metrics) close() {
	m.once.Do(func() { m.registration.Unregister() })
}

// version is this module's version as the program was built with it.
func version() string {
	const module = "github.com/stayopen-go/stayopen"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, dep := range info.Deps {
		if dep.Path == module {
			return dep.Version
		}
	}
	return ""
}
