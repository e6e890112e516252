package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/dialer/dialmetrics"
	"github.com/stayopen-go/stayopen/transport"
	"github.com/stayopen-go/stayopen/transport/status"
)

// program is two transports with a service to call, and what measures them.
type program struct {
	service  *service
	registry *prometheus.Registry
	provider *metric.MeterProvider
	ports    *dialmetrics.Ports
	api      *transport.Transport // keeps its connections
	once     *transport.Transport // may use each of them for a few requests only
	page     *status.Handler
}

func newProgram() (_ *program, err error) {
	p := &program{registry: prometheus.NewRegistry()}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	exporter, err := otelprom.New(otelprom.WithRegisterer(p.registry), otelprom.WithoutScopeInfo())
	if err != nil {
		return nil, err
	}
	p.provider = metric.NewMeterProvider(metric.WithReader(exporter))
	if p.ports, err = dialmetrics.ObservePorts(p.provider); err != nil {
		return nil, err
	}
	cfg := transport.Config{Name: "api", MeterProvider: p.provider, CompareDefault: true}
	if runtime.GOOS == "linux" {
		// With a source address of its own a Dialer keeps count of that one's ports.
		cfg.Dialer = &dialer.Dialer{Sources: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
	}
	if p.api, err = transport.New(cfg); err != nil {
		return nil, err
	}
	p.once, err = transport.New(transport.Config{Name: "once", MeterProvider: p.provider, MaxRequestsPerConn: 5})
	if err != nil {
		return nil, err
	}
	if p.page, err = status.New(status.Config{Transports: []*transport.Transport{p.api, p.once}}); err != nil {
		return nil, err
	}
	if p.service, err = startService(); err != nil {
		return nil, err
	}
	return p, nil
}

// handler serves the metrics and the status page.
func (p *program) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.registry, promhttp.HandlerOpts{}))
	mux.Handle("/debug/stayopen", p.page)
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

// close closes whatever there is by now.
func (p *program) close() {
	if p.page != nil {
		p.page.Close()
	}
	for _, t := range []*transport.Transport{p.api, p.once} {
		if t != nil {
			t.Close()
		}
	}
	if p.service != nil {
		p.service.close()
	}
	if p.ports != nil {
		p.ports.Close()
	}
	if p.provider != nil {
		p.provider.Shutdown(context.Background())
	}
}
