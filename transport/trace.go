package transport

import (
	"context"
	"crypto/tls"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// traceGuard stands between a dial and the trace of the request that caused
// it. The dial may outlive the request; the request's hooks must not fire after
// its RoundTrip has returned.
type traceGuard struct {
	trace *httptrace.ClientTrace
	turn  chan struct{} // holds one token: whoever has it may call a hook, or end the guard
	ended atomic.Bool
}

func newTraceGuard(trace *httptrace.ClientTrace) *traceGuard {
	g := &traceGuard{trace: trace, turn: make(chan struct{}, 1)}
	g.turn <- struct{}{}
	return g
}

// do calls a hook unless the guard has ended.
func (g *traceGuard) do(hook func()) {
	if g.ended.Load() {
		return
	}
	<-g.turn
	defer func() { g.turn <- struct{}{} }()
	if !g.ended.Load() {
		hook()
	}
}

// end lets no further hook begin, and waits for one that is running: what it
// writes is then safe to read after RoundTrip. A hook that hangs must not hang
// RoundTrip with it, so the wait is bounded.
func (g *traceGuard) end() {
	if g == nil || g.ended.Swap(true) {
		return
	}
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-g.turn:
		g.turn <- struct{}{}
	case <-timer.C:
	}
}

// clientTrace holds the hooks that a dial fires, guarded.
func (g *traceGuard) clientTrace() *httptrace.ClientTrace {
	from, to := g.trace, &httptrace.ClientTrace{}
	if hook := from.DNSStart; hook != nil {
		to.DNSStart = func(i httptrace.DNSStartInfo) { g.do(func() { hook(i) }) }
	}
	if hook := from.DNSDone; hook != nil {
		to.DNSDone = func(i httptrace.DNSDoneInfo) { g.do(func() { hook(i) }) }
	}
	if hook := from.ConnectStart; hook != nil {
		to.ConnectStart = func(network, addr string) { g.do(func() { hook(network, addr) }) }
	}
	if hook := from.ConnectDone; hook != nil {
		to.ConnectDone = func(network, addr string, err error) { g.do(func() { hook(network, addr, err) }) }
	}
	if hook := from.TLSHandshakeStart; hook != nil {
		to.TLSHandshakeStart = func() { g.do(hook) }
	}
	if hook := from.TLSHandshakeDone; hook != nil {
		to.TLSHandshakeDone = func(s tls.ConnectionState, err error) { g.do(func() { hook(s, err) }) }
	}
	return to
}

// tracedContext is a context whose trace has been replaced. WithClientTrace
// alone would add to the old one, not replace it.
type tracedContext struct {
	context.Context
	trace context.Context // holds the trace's keys (httptrace's and package net's) and no others
}

func (c tracedContext) Value(key any) any {
	if v := c.trace.Value(key); v != nil {
		return v
	}
	return c.Context.Value(key)
}

// guardTrace returns ctx with its trace behind a guard; without a trace, ctx.
func guardTrace(ctx context.Context) (context.Context, *traceGuard) {
	trace := httptrace.ContextClientTrace(ctx)
	if trace == nil {
		return ctx, nil
	}
	g := newTraceGuard(trace)
	return tracedContext{ctx, httptrace.WithClientTrace(context.Background(), g.clientTrace())}, g
}
