package transport_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/stayopen-go/stayopen/transport"
)

// recorder keeps the spans that have ended.
type recorder struct {
	*tracetest.SpanRecorder
	provider *sdktrace.TracerProvider
}

func newRecorder() recorder {
	r := tracetest.NewSpanRecorder()
	return recorder{r, sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r))}
}

// request begins the span of a request, which otelhttp would.
func (r recorder) request(name string) (context.Context, trace.Span) {
	return r.provider.Tracer("test").Start(context.Background(), name)
}

// named are the spans that have ended with that name.
func (r recorder) named(name string) (all []sdktrace.ReadOnlySpan) {
	for _, s := range r.Ended() {
		if s.Name() == name {
			all = append(all, s)
		}
	}
	return all
}

// one is the only span with that name.
func (r recorder) one(t *testing.T, name string) sdktrace.ReadOnlySpan {
	t.Helper()
	all := r.named(name)
	if len(all) != 1 {
		t.Fatalf("got %d spans %s, want 1", len(all), name)
	}
	return all[0]
}

func wantChild(t *testing.T, child sdktrace.ReadOnlySpan, parent trace.SpanContext) {
	t.Helper()
	if got := child.Parent(); got.SpanID() != parent.SpanID() || got.TraceID() != parent.TraceID() {
		t.Errorf("%s is a child of %v, want of %v", child.Name(), got.SpanID(), parent.SpanID())
	}
}

func TestADialAndTheWaitForItAreSpansOfTheRequest(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		s, r := serve(t, mode, http.NotFoundHandler()), newRecorder()
		tr := newTransport(t, transport.Config{Template: s.template(mode), TracerProvider: r.provider})
		for i := range 3 {
			ctx, span := r.request("request")
			if _, _, err := get1(tr, newRequest(t, "GET", s.URL, nil).WithContext(ctx)); err != nil {
				t.Fatal(err)
			}
			span.End()
			if i > 0 {
				continue // those find the connection
			}
			dial, wait := r.one(t, "stayopen.dial"), r.one(t, "stayopen.wait")
			wantChild(t, dial, span.SpanContext())
			wantChild(t, wait, span.SpanContext())
			if links := wait.Links(); len(links) != 1 || links[0].SpanContext.SpanID() != dial.SpanContext().SpanID() {
				t.Errorf("the wait's links: got %v, want one to the dial", links)
			}
			wantChild(t, r.one(t, "stayopen.connect"), dial.SpanContext())
			if mode != "h1" {
				wantChild(t, r.one(t, "stayopen.tls"), dial.SpanContext())
			}
		}
		for name, want := range map[string]int{"stayopen.dial": 1, "stayopen.wait": 1, "stayopen.connect": 1, "request": 3} {
			if got := len(r.named(name)); got != want {
				t.Errorf("got %d spans %s after three requests, want %d", got, name, want)
			}
		}
		for _, s := range r.Ended() {
			if k := s.SpanKind(); k != trace.SpanKindInternal {
				t.Errorf("%s is of kind %v, want internal: the request's span is not ours", s.Name(), k)
			}
		}
	})
}

// The first request's connection goes to both, one after the other.
func TestARequestThatWaitsForAnothersDialIsLinkedToIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, tmpl := newMemory().serve(t, "h2", http.HandlerFunc(slow))
		r := newRecorder()
		tmpl.TLSClientConfig.InsecureSkipVerify = true
		tr := newTransport(t, transport.Config{Template: slowTo("a.example", tmpl), TracerProvider: r.provider})
		done := make(chan error, 2)
		for range 2 {
			ctx, _ := r.request("request")
			go func() {
				_, _, err := get1(tr, newRequest(t, "GET", "https://a.example/", nil).WithContext(ctx))
				done <- err
			}()
			pass(time.Millisecond) // in this order; less than a dial may hold others back
		}
		for range 2 {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		waits := r.named("stayopen.wait")
		if len(waits) != 2 {
			t.Fatalf("got %d waits, want 2", len(waits))
		}
		dials := make(map[trace.SpanID]bool)
		for _, dial := range r.named("stayopen.dial") {
			dials[dial.SpanContext().SpanID()] = true
		}
		for _, wait := range waits {
			if links := wait.Links(); len(links) != 1 || !dials[links[0].SpanContext.SpanID()] {
				t.Errorf("a wait's links: got %v, want one to a dial", links)
			}
		}
	})
}

func TestWhatNobodyAskedForIsARootAndAFailureIsSaid(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *memory, tmpl *http.Transport) {
		r := newRecorder()
		tr := newTransport(t, transport.Config{Template: refusing("refused.example", tmpl), TracerProvider: r.provider})
		if err := tr.Warm(context.Background(), "http://a.example/", 1); err != nil {
			t.Fatal(err)
		}
		if dial := r.one(t, "stayopen.dial"); dial.Parent().IsValid() {
			t.Errorf("the dial is a child of %v, want a root", dial.Parent())
		}
		ctx, span := r.request("request")
		get1(tr, newRequest(t, "GET", "http://refused.example/", nil).WithContext(ctx))
		wait := r.one(t, "stayopen.wait")
		wantChild(t, wait, span.SpanContext())
		for _, s := range []sdktrace.ReadOnlySpan{wait, r.named("stayopen.dial")[1]} {
			if got := s.Status(); got.Code != codes.Error || got.Description != "ECONNREFUSED" {
				t.Errorf("%s has the status %v, want an error, ECONNREFUSED", s.Name(), got)
			}
		}
	})
}
