package transport

import (
	"errors"

	"go.opentelemetry.io/otel/metric"
)

// instruments are a transport's. Their names and units are listed in doc.go.
type instruments struct {
	totals      []total
	openedTotal metric.Int64ObservableCounter
	closedTotal metric.Int64ObservableCounter
	failedDials metric.Int64ObservableCounter
	handshakes  metric.Int64ObservableCounter
	open        metric.Int64ObservableUpDownCounter
	requests    metric.Int64ObservableUpDownCounter

	durations metric.Float64Histogram
	queued    metric.Float64Histogram
}

// total is a figure of Stats with its instrument.
type total struct {
	instrument metric.Int64Observable
	value      func(Stats) uint64
}

// maker makes instruments, and keeps the errors.
type maker struct {
	meter metric.Meter
	errs  []error
}

func (k *maker) counter(name, unit, text string) metric.Int64ObservableCounter {
	i, err := k.meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(text))
	k.errs = append(k.errs, err)
	return i
}

func (k *maker) upDown(name, unit, text string) metric.Int64ObservableUpDownCounter {
	i, err := k.meter.Int64ObservableUpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(text))
	k.errs = append(k.errs, err)
	return i
}

func (k *maker) seconds(name, text string, bounds ...float64) metric.Float64Histogram {
	i, err := k.meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(text), metric.WithExplicitBucketBoundaries(bounds...))
	k.errs = append(k.errs, err)
	return i
}

// create makes the instruments.
func (m *instruments) create(meter metric.Meter, compared bool) error {
	k := &maker{meter: meter}
	m.createTotals(k)
	if compared {
		m.createComparison(k)
	}
	m.openedTotal = k.counter("stayopen.connections.opened", "{connection}", "Connections established, by why none could be reused.")
	m.closedTotal = k.counter("stayopen.connections.closed", "{connection}", "Connections closed.")
	m.failedDials = k.counter("stayopen.dials.failed", "{dial}", "Dials that failed: of TCP, TLS or a proxy.")
	m.handshakes = k.counter("stayopen.tls.handshakes", "{handshake}", "TLS handshakes that succeeded.")
	m.open = k.upDown("http.client.open_connections", "{connection}", "Number of outbound HTTP connections that are currently active or idle on the client.")
	m.requests = k.upDown("http.client.active_requests", "{request}", "Number of active HTTP requests.")
	// The conventions' buckets, and .NET's for what they do not have.
	m.durations = k.seconds("http.client.connection.duration", "The duration of the successfully established outbound HTTP connections.",
		.01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60, 120, 300)
	m.queued = k.seconds("http.client.request.time_in_queue", "The amount of time requests spent waiting for a connection.",
		.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10)
	return errors.Join(k.errs...)
}

// createTotals makes those that read a field of Stats.
func (m *instruments) createTotals(k *maker) {
	total := func(i metric.Int64Observable, value func(Stats) uint64) { m.totals = append(m.totals, total{i, value}) }
	counter := func(name, unit, text string, value func(Stats) uint64) { total(k.counter(name, unit, text), value) }
	counter("stayopen.requests", "{request}", "Requests given to the transport.", func(s Stats) uint64 { return s.Requests })
	counter("stayopen.requests.failed", "{request}", "Requests that returned an error.", func(s Stats) uint64 { return s.Failed })
	counter("stayopen.retries", "{attempt}", "Attempts beyond a request's first.", func(s Stats) uint64 { return s.Retries })
	counter("stayopen.exchanges", "{exchange}", "Final response headers received.", func(s Stats) uint64 { return s.Exchanges })
	counter("stayopen.connections.served", "{connection}", "Connections with at least one exchange.", func(s Stats) uint64 { return s.Served })
	counter("stayopen.connections.reused", "{attempt}", "Attempts on a connection that had served before.", func(s Stats) uint64 { return s.Reused })
	counter("stayopen.closes.avoided", "{close}", "Exchanges on a connection that had served before.", func(s Stats) uint64 { return s.ClosesAvoided })
	counter("stayopen.time_waits", "{socket}", "Closes that left a TIME_WAIT on this host.", func(s Stats) uint64 { return s.TimeWaits })
	counter("stayopen.waits", "{attempt}", "Attempts that waited for a connection.", func(s Stats) uint64 { return s.Waited })
	counter("stayopen.drained", "By", "Read from response bodies that were closed early.", func(s Stats) uint64 { return s.DrainedBytes })
	total(k.upDown("stayopen.connections.wasted", "{connection}", "Connections established that no request has used."), func(s Stats) uint64 { return s.Wasted })
}

// createComparison makes the instrument that only a comparison has.
func (m *instruments) createComparison(k *maker) {
	i := k.upDown("stayopen.closes.avoided_over_default", "{close}", "Estimate: connections that http.DefaultTransport would have opened beyond those opened here.")
	m.totals = append(m.totals, total{i, func(s Stats) uint64 { return uint64(s.ClosesAvoidedOverDefault) }})
}

// observables are those that are read when a reader collects.
func (m *instruments) observables() []metric.Observable {
	all := []metric.Observable{m.openedTotal, m.closedTotal, m.failedDials, m.handshakes, m.open, m.requests}
	for _, total := range m.totals {
		all = append(all, total.instrument)
	}
	return all
}
