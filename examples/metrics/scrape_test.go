package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http/httptest"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// loaded is a program that has sent every kind of request.
func loaded(t *testing.T) *program {
	t.Helper()
	p, err := newProgram()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	for i := range 200 {
		p.send(p.api, i)
		p.send(p.once, i)
	}
	return p
}

func (p *program) scrape(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	w := httptest.NewRecorder()
	p.handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// series is every name that a query may ask for, with its labels.
func series(families map[string]*dto.MetricFamily) map[string]map[string]bool {
	all := map[string]map[string]bool{}
	for name, f := range families {
		names := []string{name}
		if f.GetType() == dto.MetricType_HISTOGRAM {
			names = []string{name + "_bucket", name + "_sum", name + "_count"}
		}
		for _, n := range names {
			all[n] = map[string]bool{"job": true, "instance": true, "le": f.GetType() == dto.MetricType_HISTOGRAM}
			for _, m := range f.Metric {
				for _, l := range m.Label {
					all[n][l.GetName()] = true
				}
			}
		}
	}
	return all
}

// sum adds up a family's values of one transport.
func sum(f *dto.MetricFamily, transport string) (total float64) {
	for _, m := range f.GetMetric() {
		for _, l := range m.Label {
			if l.GetName() == "stayopen_transport" && l.GetValue() == transport {
				total += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return total
}

func TestPrometheusGetsWhatTheTransportsCount(t *testing.T) {
	p := loaded(t)
	families := p.scrape(t)
	s := p.once.Stats()
	for name, want := range map[string]uint64{
		"stayopen_requests_total":           s.Requests,
		"stayopen_requests_failed_total":    s.Failed,
		"stayopen_exchanges_total":          s.Exchanges,
		"stayopen_connections_opened_total": s.Opened,
		"stayopen_closes_avoided_total":     s.ClosesAvoided,
	} {
		if got := sum(families[name], "once"); got != float64(want) || want == 0 {
			t.Errorf("%s of the transport once is %v, want %d, and not 0", name, got, want)
		}
	}
}

func TestTheProgramSaysWhereItServesAndWhatItCounted(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run(context.Background(), []string{"-listen", "127.0.0.1:0", "-for", "300ms"}, &out, &errs); code != 0 || errs.Len() > 0 {
		t.Fatalf("got exit code %d and %q", code, errs.String())
	}
	var port, requests int
	if _, err := fmt.Sscanf(out.String(), "http://127.0.0.1:%d/metrics\napi %d requests", &port, &requests); err != nil || requests == 0 {
		t.Errorf("got %q: %v", out.String(), err)
	}
}

func TestFlagsThatCannotBeUsedAreRefused(t *testing.T) {
	for _, args := range [][]string{{"-rate", "0"}, {"-for", "-1s"}, {"now"}, {"-nosuch"}} {
		var out, errs bytes.Buffer
		if code := run(context.Background(), args, &out, &errs); code != 2 || errs.Len() == 0 {
			t.Errorf("%v: got exit code %d and %q, want 2 and a message", args, code, errs.String())
		}
	}
	var out, errs bytes.Buffer
	if code := run(context.Background(), []string{"-listen", "192.0.2.1:1"}, &out, &errs); code != 1 || errs.Len() == 0 {
		t.Errorf("an address that is not ours: got exit code %d and %q, want 1 and a message", code, errs.String())
	}
}
