package shadow

import (
	"net/http"
	"net/http/httptrace"
	"time"

	"github.com/stayopen-go/stayopen/transport/internal/model"
)

// Transport is an http.RoundTripper that passes every request on to another,
// counts what that one does, and estimates what stayopen would have done.
//
// It is safe for concurrent use if the wrapped transport is.
type Transport struct {
	base    http.RoundTripper
	tally   tally
	metrics *metrics

	stayopen *model.Model[origin]
	ordinary *model.Model[origin] // http.DefaultTransport
}

var (
	_ http.RoundTripper                   = (*Transport)(nil)
	_ interface{ CloseIdleConnections() } = (*Transport)(nil) // what http.Client asks for
)

// New wraps cfg.Base. A Config without one is refused with a [*ConfigError].
func New(cfg Config) (*Transport, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	t := &Transport{
		base:     cfg.Base,
		tally:    tally{byTarget: make(map[target]*counters)},
		stayopen: model.New(model.StayOpen(), origin.mayMultiplex),
		ordinary: model.New[origin](model.NetHTTP(), nil),
	}
	name := cfg.Name
	if name == "" {
		name = "default"
	}
	m, err := newMetrics(t, name, cfg.MeterProvider)
	if err != nil {
		return nil, err
	}
	t.metrics = m
	return t, nil
}

// RoundTrip has the wrapped transport send the request. The response and the
// error are that one's: of the response only Request is set back to req, and Body
// is watched, unless it is one that can be written to.
//
// The request's own httptrace hooks are called, too. Requests that are neither
// http nor https are passed on and not counted.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL == nil || req.URL.Scheme != "http" && req.URL.Scheme != "https" {
		return t.base.RoundTrip(req)
	}
	r := &request{t: t, target: targetOf(req), http1: req.Header.Get("Upgrade") != "", start: time.Now()}
	r.count = t.tally.of(r.target)
	r.count.requests.Add(1)
	traced := req.WithContext(httptrace.WithClientTrace(req.Context(), r.trace()))
	resp, err := t.base.RoundTrip(traced)
	if resp != nil && resp.Request == traced {
		resp.Request = req
	}
	if err != nil || resp == nil {
		r.fail(req)
		return resp, err
	}
	r.answer(req, resp)
	r.watch(resp)
	return resp, nil
}

// CloseIdleConnections closes the wrapped transport's idle connections, if it
// has such a method. Those of the models are closed, too.
func (t *Transport) CloseIdleConnections() {
	if base, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
		now := time.Now()
		t.stayopen.CloseIdle(now)
		t.ordinary.CloseIdle(now)
	}
}

// Close unregisters the metrics. The wrapped transport is not closed, and
// requests go on being passed to it and counted. Closing twice is allowed. The
// error is always nil.
func (t *Transport) Close() error {
	t.metrics.close()
	return nil
}
