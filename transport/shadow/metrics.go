package shadow

import (
	"context"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/stayopen-go/stayopen/internal/modversion"
)

// scope is the instrumentation scope's name: this package's import path.
const scope = "github.com/stayopen-go/stayopen/transport/shadow"

// metrics observes a transport's figures when, and only when, a reader
// collects.
type metrics struct {
	t            *Transport
	meter        metric.Meter
	counted      metric.MeasurementOption
	stayopen     metric.MeasurementOption
	ordinary     metric.MeasurementOption
	totals       []total
	estimates    []guess
	registration metric.Registration
	once         sync.Once
}

// total is a figure of Counts with its instrument.
type total struct {
	instrument metric.Int64Observable
	value      func(Counts) uint64
}

// guess is a figure of Estimate with its instrument.
type guess struct {
	instrument metric.Int64Observable
	value      func(Estimate) int64
}

func newMetrics(t *Transport, name string, provider metric.MeterProvider) (*metrics, error) {
	if provider == nil {
		provider = otel.GetMeterProvider()
	}
	m := &metrics{t: t, meter: provider.Meter(scope, metric.WithInstrumentationVersion(modversion.Get()))}
	attributes := func(more ...attribute.KeyValue) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(append(more, attribute.String("stayopen.transport", name))...))
	}
	m.counted = attributes()
	m.stayopen = attributes(attribute.String("stayopen.shadow.model", "stayopen"))
	m.ordinary = attributes(attribute.String("stayopen.shadow.model", "default_transport"))
	return m, m.register()
}

// register creates the instruments. Their names and units are listed in doc.go.
func (m *metrics) register() error {
	var failed error
	note := func(err error) {
		if failed == nil {
			failed = err
		}
	}
	counter := func(name, unit, text string, value func(Counts) uint64) {
		i, err := m.meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(text))
		note(err)
		m.totals = append(m.totals, total{i, value})
	}
	counter("stayopen.shadow.requests", "{request}", "Requests given to the wrapped transport.", func(c Counts) uint64 { return c.Requests })
	counter("stayopen.shadow.requests.failed", "{request}", "Requests that returned an error.", func(c Counts) uint64 { return c.Failed })
	counter("stayopen.shadow.requests.sent", "{request}", "Requests written to a connection.", func(c Counts) uint64 { return c.Sent })
	counter("stayopen.shadow.exchanges", "{exchange}", "Final response headers received.", func(c Counts) uint64 { return c.Exchanges })
	counter("stayopen.shadow.connections.opened", "{connection}", "Connections established.", func(c Counts) uint64 { return c.Opened })
	counter("stayopen.shadow.connections.reused", "{attempt}", "Requests given a connection that was not new.", func(c Counts) uint64 { return c.Reused })
	counter("stayopen.shadow.connections.not_kept", "{connection}", "Connections closed although they could have served again.", func(c Counts) uint64 { return c.NotKept })
	counter("stayopen.shadow.dials.failed", "{attempt}", "Attempts to connect that failed.", func(c Counts) uint64 { return c.FailedDials })
	counter("stayopen.shadow.handshakes", "{handshake}", "TLS handshakes completed.", func(c Counts) uint64 { return c.Handshakes })
	counter("stayopen.shadow.handshakes.failed", "{handshake}", "TLS handshakes that failed.", func(c Counts) uint64 { return c.FailedHandshakes })
	counter("stayopen.shadow.bodies", "{body}", "Response bodies read to their end.", func(c Counts) uint64 { return c.Bodies })
	counter("stayopen.shadow.bodies.abandoned", "{body}", "Response bodies closed before their end.", func(c Counts) uint64 { return c.Abandoned })
	counter("stayopen.shadow.bodies.broken", "{body}", "Response bodies that could not be read to their end.", func(c Counts) uint64 { return c.Broken })

	estimated := func(i metric.Int64Observable, err error, value func(Estimate) int64) {
		note(err)
		m.estimates = append(m.estimates, guess{i, value})
	}
	opened, err := m.meter.Int64ObservableCounter("stayopen.shadow.estimate.opened", metric.WithUnit("{connection}"),
		metric.WithDescription("Estimate: connections that the model's transport would have opened."))
	estimated(opened, err, func(e Estimate) int64 { return int64(e.Opened) })
	closed, err := m.meter.Int64ObservableCounter("stayopen.shadow.estimate.closed", metric.WithUnit("{connection}"),
		metric.WithDescription("Estimate: connections that the model's transport would have closed."))
	estimated(closed, err, func(e Estimate) int64 { return int64(e.Closed) })
	avoided, err := m.meter.Int64ObservableUpDownCounter("stayopen.shadow.estimate.closes.avoided", metric.WithUnit("{close}"),
		metric.WithDescription("Estimate: closes that the model's transport would have avoided."))
	estimated(avoided, err, func(e Estimate) int64 { return e.ClosesAvoided })
	if failed != nil {
		return failed
	}
	m.registration, err = m.meter.RegisterCallback(m.observe, m.instruments()...)
	return err
}

func (m *metrics) instruments() []metric.Observable {
	var all []metric.Observable
	for _, t := range m.totals {
		all = append(all, t.instrument)
	}
	for _, g := range m.estimates {
		all = append(all, g.instrument)
	}
	return all
}

func (m *metrics) observe(_ context.Context, o metric.Observer) error {
	s := m.t.Stats()
	for _, t := range m.totals {
		o.ObserveInt64(t.instrument, int64(t.value(s.Counts)), m.counted)
	}
	for _, g := range m.estimates {
		o.ObserveInt64(g.instrument, g.value(s.StayOpen), m.stayopen)
		o.ObserveInt64(g.instrument, g.value(s.Default), m.ordinary)
	}
	return nil
}

func (m *metrics) close() {
	m.once.Do(func() { m.registration.Unregister() })
}
