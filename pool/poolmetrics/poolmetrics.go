package poolmetrics

import (
	"context"
	"errors"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/stayopen-go/stayopen/internal/modversion"
	"github.com/stayopen-go/stayopen/pool"
)

// scope is the instrumentation scope's name: this package's import path.
const scope = "github.com/stayopen-go/stayopen/pool/poolmetrics"

// Pool is what is observed: a [pool.Pool], or what is built on one.
type Pool interface {
	// Stats counts what there is now.
	Stats() pool.Stats
	// Totals counts what was done.
	Totals() pool.Totals
}

// Config says how figures are reported.
type Config struct {
	// Name tells the pool's figures from those of others in the same process: it
	// is the attribute stayopen.pool. Empty means "default".
	Name string

	// MeterProvider receives the metrics. Required: otel.GetMeterProvider() is
	// the global one. It is not asked for here, since it would have every program
	// that pools link net/http.
	MeterProvider metric.MeterProvider
}

// Figures are a pool's, as they are reported until Close.
type Figures struct {
	pool         Pool
	name         attribute.KeyValue
	ints         []figure
	waitTime     metric.Float64ObservableCounter
	open         metric.Int64ObservableUpDownCounter
	opened       metric.Int64ObservableCounter
	closed       metric.Int64ObservableCounter
	registration metric.Registration
	once         sync.Once
}

// figure is one that needs no attribute but the name.
type figure struct {
	instrument metric.Int64Observable
	value      func(pool.Stats, pool.Totals) int64
}

// Observe reports p's figures until Close is called. It fails without a
// MeterProvider, or with the meter's error.
func Observe(p Pool, cfg Config) (*Figures, error) {
	if cfg.MeterProvider == nil {
		return nil, errors.New("poolmetrics: Config.MeterProvider is nil; otel.GetMeterProvider() is the global one")
	}
	name := cfg.Name
	if name == "" {
		name = "default"
	}
	f := &Figures{pool: p, name: attribute.String("stayopen.pool", name)}
	meter := cfg.MeterProvider.Meter(scope, metric.WithInstrumentationVersion(modversion.Get()))
	instruments, err := f.create(meter)
	if err != nil {
		return nil, err
	}
	f.registration, err = meter.RegisterCallback(f.observe, instruments...)
	return f, err
}

// Close ends the reporting. It may be called several times; the error is always
// nil.
func (f *Figures) Close() error {
	f.once.Do(func() { f.registration.Unregister() })
	return nil
}

// create makes the instruments. Their names and units are listed in doc.go.
func (f *Figures) create(meter metric.Meter) ([]metric.Observable, error) {
	var errs []error
	add := func(i metric.Int64Observable, err error, value func(pool.Stats, pool.Totals) int64) {
		errs = append(errs, err)
		f.ints = append(f.ints, figure{i, value})
	}
	upDown := func(name, unit, text string, value func(pool.Stats, pool.Totals) int64) {
		i, err := meter.Int64ObservableUpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(text))
		add(i, err, value)
	}
	counter := func(name, unit, text string, value func(pool.Stats, pool.Totals) int64) {
		i, err := meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(text))
		add(i, err, value)
	}
	upDown("stayopen.pool.leases.active", "{lease}", "Leases that are out.", func(s pool.Stats, _ pool.Totals) int64 { return int64(s.Leases) })
	upDown("stayopen.pool.dials.active", "{dial}", "Dials that run.", func(s pool.Stats, _ pool.Totals) int64 { return int64(s.Dialing) })
	upDown("stayopen.pool.waiting", "{request}", "Gets that wait.", func(s pool.Stats, _ pool.Totals) int64 { return int64(s.Waiting) })
	counter("stayopen.pool.leases", "{lease}", "Leases given.", func(_ pool.Stats, t pool.Totals) int64 { return int64(t.Leases) })
	counter("stayopen.pool.leases.reused", "{lease}", "Leases on a connection that had been leased before.", func(_ pool.Stats, t pool.Totals) int64 { return int64(t.Reused) })
	counter("stayopen.pool.waits", "{lease}", "Leases that had to be waited for.", func(_ pool.Stats, t pool.Totals) int64 { return int64(t.Waited) })
	counter("stayopen.pool.refused", "{request}", "Gets that were not let wait, or not any longer.", func(_ pool.Stats, t pool.Totals) int64 { return int64(t.Refused) })
	counter("stayopen.pool.dials.failed", "{dial}", "Dials that failed.", func(_ pool.Stats, t pool.Totals) int64 { return int64(t.FailedDials) })

	var err error
	f.waitTime, err = meter.Float64ObservableCounter("stayopen.pool.wait_time", metric.WithUnit("s"), metric.WithDescription("How long was waited for leases, added up."))
	errs = append(errs, err)
	f.open, err = meter.Int64ObservableUpDownCounter("stayopen.pool.connections", metric.WithUnit("{connection}"), metric.WithDescription("Connections that are open."))
	errs = append(errs, err)
	f.opened, err = meter.Int64ObservableCounter("stayopen.pool.connections.opened", metric.WithUnit("{connection}"), metric.WithDescription("Connections opened, by why none could be reused."))
	errs = append(errs, err)
	f.closed, err = meter.Int64ObservableCounter("stayopen.pool.connections.closed", metric.WithUnit("{connection}"), metric.WithDescription("Connections that the pool has no more."))
	errs = append(errs, err)

	all := []metric.Observable{f.waitTime, f.open, f.opened, f.closed}
	for _, i := range f.ints {
		all = append(all, i.instrument)
	}
	return all, errors.Join(errs...)
}

func (f *Figures) with(more ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(append(more, f.name)...))
}

func (f *Figures) observe(_ context.Context, o metric.Observer) error {
	s, t := f.pool.Stats(), f.pool.Totals()
	plain := f.with()
	for _, i := range f.ints {
		o.ObserveInt64(i.instrument, i.value(s, t), plain)
	}
	o.ObserveFloat64(f.waitTime, t.WaitTime.Seconds(), plain)
	o.ObserveInt64(f.open, int64(s.Open-s.Idle), f.with(attribute.String("stayopen.connection.state", "active")))
	o.ObserveInt64(f.open, int64(s.Idle), f.with(attribute.String("stayopen.connection.state", "idle")))
	for why, n := range t.Opened {
		o.ObserveInt64(f.opened, int64(n), f.with(attribute.String("stayopen.open.reason", string(why))))
	}
	for why, n := range t.Closed {
		o.ObserveInt64(f.closed, int64(n), f.with(attribute.String("stayopen.close.reason", string(why))))
	}
	return nil
}
