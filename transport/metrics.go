package transport

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/stayopen-go/stayopen/internal/modversion"
)

// scope is the instrumentation scope's name: this package's import path.
const scope = "github.com/stayopen-go/stayopen/transport"

// metrics observes a transport's counters when, and only when, a reader
// collects. The way of a request that finds an idle connection knows nothing of
// it: only the ends of waits and of connections are recorded one by one.
type metrics struct {
	t     *Transport
	name  attribute.KeyValue
	hosts *hosts

	plain  metric.MeasurementOption
	opened [openReasons]metric.MeasurementOption
	closed [len(reasons)][len(initiators)]metric.MeasurementOption
	tls    [2]metric.MeasurementOption // a full handshake, a resumed one

	instruments
	registration metric.Registration
	once         sync.Once
}

func newMetrics(t *Transport, name string, cfg *Config) (*metrics, error) {
	provider := cfg.MeterProvider
	if provider == nil {
		provider = otel.GetMeterProvider()
	}
	m := &metrics{t: t, name: attribute.String("stayopen.transport", name)}
	m.hosts = newHosts(m.name, cfg.SchemeAttribute)
	m.plain = m.with()
	for i := range m.opened {
		m.opened[i] = m.with(attribute.String("stayopen.open.reason", string(openReasonAt(i))))
	}
	for i, why := range reasons {
		for j, by := range initiators {
			m.closed[i][j] = m.with(
				attribute.String("stayopen.close.initiator", string(by)),
				attribute.String("stayopen.close.reason", string(why)))
		}
	}
	for i := range m.tls {
		m.tls[i] = m.with(attribute.Bool("tls.resumed", i == 1))
	}
	meter := provider.Meter(scope, metric.WithInstrumentationVersion(modversion.Get()))
	if err := m.create(meter, cfg.CompareDefault); err != nil {
		return nil, err
	}
	var err error
	m.registration, err = meter.RegisterCallback(m.observe, m.observables()...)
	return m, err
}

// with are the attributes that every figure has, and more.
func (m *metrics) with(more ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(append(more, m.name)...))
}

func (m *metrics) observe(_ context.Context, o metric.Observer) error {
	s := m.t.Stats()
	for _, total := range m.totals {
		o.ObserveInt64(total.instrument, int64(total.value(s)), m.plain)
	}
	for why, n := range s.OpenedBecause.All() {
		o.ObserveInt64(m.openedTotal, int64(n), m.opened[why.index()])
	}
	for i := range reasons {
		for j := range initiators {
			if n := m.t.count.byReason[i][j].Load(); n > 0 {
				o.ObserveInt64(m.closedTotal, int64(n), m.closed[i][j])
			}
		}
	}
	failures, _ := m.t.count.failedDials.read()
	for f, n := range failures {
		o.ObserveInt64(m.failedDials, int64(n), m.with(
			attribute.String("stayopen.dial.step", f.step), attribute.String("error.type", f.kind)))
	}
	o.ObserveInt64(m.handshakes, int64(s.TLSHandshakes-s.TLSResumed), m.tls[0])
	o.ObserveInt64(m.handshakes, int64(s.TLSResumed), m.tls[1])
	m.observeHosts(o)
	return nil
}

// openConns counts by version of HTTP.
type openConns [len(versions)]struct{ active, idle int64 }

// observeHosts sums up by host: one may be reached in several ways. With very many
// connections that takes long, and requests must not stand still meanwhile: what
// changes between two looks at the pool makes the figures of two hosts, or those of
// connections and of requests, differ by that much.
func (m *metrics) observeHosts(o metric.Observer) {
	open := make(map[*host]*openConns)
	m.t.pool.EachConn(func(c *conn, leases int) {
		n := open[c.host]
		if n == nil {
			n = new(openConns)
			open[c.host] = n
		}
		if v := version(c.http2); leases > 0 {
			n[v].active++
		} else {
			n[v].idle++
		}
	})
	for h, n := range open {
		for v := range n {
			if n[v].active+n[v].idle > 0 {
				o.ObserveInt64(m.open, n[v].active, h.active[v])
				o.ObserveInt64(m.open, n[v].idle, h.idle[v])
			}
		}
	}
	requests := make(map[*host]int64)
	for key, s := range m.t.pool.All() {
		requests[m.hosts.of(key)] += int64(s.Leases + s.Waiting)
	}
	for h, n := range requests {
		o.ObserveInt64(m.requests, n, h.plain)
	}
}

// lived records how long a connection was open.
func (m *metrics) lived(c *conn, d time.Duration) {
	m.durations.Record(context.Background(), max(d, 0).Seconds(), c.host.record[version(c.http2)]...)
}

// waited records how long a request has waited for c.
func (m *metrics) waited(ctx context.Context, c *conn, d time.Duration) {
	m.queued.Record(ctx, d.Seconds(), c.host.record[version(c.http2)]...)
}

func (m *metrics) close() {
	m.once.Do(func() { m.registration.Unregister() })
}
