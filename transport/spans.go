package transport

import (
	"context"
	"net/http/httptrace"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/stayopen-go/stayopen/internal/dialfail"
	"github.com/stayopen-go/stayopen/internal/modversion"
)

// spans makes the spans of waits and dials. A nil one makes none.
type spans struct {
	tracer trace.Tracer
	name   attribute.KeyValue
}

func newSpans(provider trace.TracerProvider, name attribute.KeyValue) *spans {
	if provider == nil {
		return nil
	}
	return &spans{provider.Tracer(scope, trace.WithInstrumentationVersion(modversion.Get())), name}
}

func (s *spans) start(ctx context.Context, name string, o origin, at time.Time, more ...trace.SpanStartOption) (context.Context, trace.Span) {
	host, port := o.server()
	attrs := []attribute.KeyValue{s.name, attribute.String("server.address", host)}
	if n, err := strconv.Atoi(port); err == nil {
		attrs = append(attrs, attribute.Int("server.port", n))
	}
	return s.tracer.Start(ctx, name, append(more, trace.WithTimestamp(at), trace.WithAttributes(attrs...))...)
}

// waited makes the span of a wait that is over, as a child of the request's. It is
// linked to the dial of the connection that ended it, if that was dialed
// meanwhile: it may be another request's child.
func (s *spans) waited(ctx context.Context, o origin, since time.Time, lease *connLease, err error) {
	if s == nil || err == nil && lease.Waited() == 0 {
		return
	}
	var more []trace.SpanStartOption
	if err == nil {
		if c := lease.Value(); c.span.IsValid() && !c.born.Before(since) {
			more = append(more, trace.WithLinks(trace.Link{SpanContext: c.span}))
		}
	}
	_, span := s.start(ctx, "stayopen.wait", o, since, more...)
	finish(span, err)
}

// finish ends a span. An error's text may quote what is nobody's business.
func finish(span trace.Span, err error) {
	if err != nil {
		_, kind := dialfail.Of(err)
		span.SetAttributes(attribute.String("error.type", kind))
		span.SetStatus(codes.Error, kind)
	}
	span.End()
}

// dialSpan is the span of a dial, with those of its steps as children. A nil one
// does nothing.
type dialSpan struct {
	spans *spans
	ctx   context.Context // holds span
	span  trace.Span

	mu    sync.Mutex            // guards what follows; nothing is called under it
	steps map[string]trace.Span // those under way
	over  bool
}

// dial begins the span of a dial for o, as a child of the span in ctx, which is
// that of the request that caused it, and a root where nobody did. The context
// that it returns has the hooks that the steps are known by.
func (s *spans) dial(ctx context.Context, o origin, why OpenReason) (context.Context, *dialSpan) {
	if s == nil {
		return ctx, nil
	}
	d := &dialSpan{spans: s, steps: make(map[string]trace.Span)}
	d.ctx, d.span = s.start(ctx, "stayopen.dial", o, time.Now(),
		trace.WithAttributes(attribute.String("stayopen.open.reason", string(why))))
	return httptrace.WithClientTrace(d.ctx, &httptrace.ClientTrace{
		DNSStart:     func(i httptrace.DNSStartInfo) { d.begin("stayopen.dns", i.Host) },
		DNSDone:      func(i httptrace.DNSDoneInfo) { d.end("stayopen.dns", i.Err) },
		ConnectStart: func(_, addr string) { d.begin("stayopen.connect", addr) },
		ConnectDone:  func(_, addr string, err error) { d.end("stayopen.connect"+addr, err) },
	}), d
}

// begin begins a step. Several addresses may be connected to at a time.
func (d *dialSpan) begin(name, peer string) {
	if d == nil {
		return
	}
	key, what := name, attribute.String("dns.question.name", peer)
	if name == "stayopen.connect" {
		key, what = name+peer, attribute.String("network.peer.address", peer)
	}
	var opts []trace.SpanStartOption
	if peer != "" {
		opts = append(opts, trace.WithAttributes(what))
	}
	_, span := d.spans.tracer.Start(d.ctx, name, opts...)
	d.mu.Lock()
	late := d.over
	if !late {
		d.steps[key] = span
	}
	d.mu.Unlock()
	if late {
		span.End()
	}
}

// end ends a step.
func (d *dialSpan) end(key string, err error) {
	if d == nil {
		return
	}
	d.mu.Lock()
	span := d.steps[key]
	delete(d.steps, key)
	d.mu.Unlock()
	if span != nil {
		finish(span, err)
	}
}

// finish ends the dial, and what is left of its steps: an address that lost the
// race is given up without a word.
func (d *dialSpan) finish(err error) {
	if d == nil {
		return
	}
	d.mu.Lock()
	d.over = true
	steps := d.steps
	d.steps = nil
	d.mu.Unlock()
	for _, span := range steps {
		span.End()
	}
	finish(d.span, err)
}

// context is that of the span, to be remembered by the connection.
func (d *dialSpan) context() trace.SpanContext {
	if d == nil {
		return trace.SpanContext{}
	}
	return d.span.SpanContext()
}
