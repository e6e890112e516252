package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"

	"github.com/stayopen-go/stayopen/transport"
)

// program is two transports with a service to call, and what measures them.
type program struct {
	service  *service
	registry *prometheus.Registry
	provider *metric.MeterProvider
	api      *transport.Transport // keeps its connections
	once     *transport.Transport // may use each of them for a few requests only
}

func newProgram() (*program, error) {
	p := &program{registry: prometheus.NewRegistry()}
	exporter, err := otelprom.New(otelprom.WithRegisterer(p.registry), otelprom.WithoutScopeInfo())
	if err != nil {
		return nil, err
	}
	p.provider = metric.NewMeterProvider(metric.WithReader(exporter))
	p.api, err = transport.New(transport.Config{Name: "api", MeterProvider: p.provider})
	if err != nil {
		return nil, err
	}
	p.once, err = transport.New(transport.Config{Name: "once", MeterProvider: p.provider, MaxRequestsPerConn: 5})
	if err != nil {
		return nil, errors.Join(err, p.api.Close())
	}
	if p.service, err = startService(); err != nil {
		return nil, errors.Join(err, p.api.Close(), p.once.Close())
	}
	return p, nil
}

// handler serves the metrics, and nothing else.
func (p *program) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.registry, promhttp.HandlerOpts{}))
	return mux
}

// report prints what the transports have counted.
func (p *program) report(w io.Writer) {
	for _, t := range []struct {
		name string
		*transport.Transport
	}{{"api", p.api}, {"once", p.once}} {
		s := t.Stats()
		fmt.Fprintf(w, "%-4s %8d requests, %6d failed, %6d connections opened, %8d closes avoided\n",
			t.name, s.Requests, s.Failed, s.Opened, s.ClosesAvoided)
	}
}

func (p *program) close() {
	p.api.Close()
	p.once.Close()
	p.service.close()
	p.provider.Shutdown(context.Background())
}
