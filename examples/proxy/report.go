package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/stayopen-go/stayopen/transport"
)

// report is what came of all runs: one, or with -compare two.
type report struct {
	options     options
	runs        []outcome
	interrupted bool // a demo before its end
}

// outcome is what a server has done.
type outcome struct {
	Name    string  `json:"client"`
	Seconds float64 `json:"seconds"`
	counts
	Checks int64 `json:"checks"`
	// Accepted counts connections of clients.
	Accepted  uint64           `json:"accepted"`
	Upstreams []upstreamStatus `json:"upstreams"`
	// Stats are about the connections to the upstreams; nil if the client has
	// no figures.
	Stats *transport.Stats `json:"stats,omitempty"`
	// Demo is what the demo's clients and upstreams have counted, nil without it.
	Demo *truth `json:"demo,omitempty"`
}

// outcome says what the server has done so far.
func (s *server) outcome() outcome {
	o := outcome{
		Name: s.client.name, Seconds: time.Since(s.started).Seconds(), counts: s.proxy.requests.counts(),
		Accepted: s.listener.Stats().Accepted, Upstreams: s.balancer.status(),
	}
	if s.checker != nil {
		o.Checks = s.checker.checks.Load()
	}
	if s.client.stats != nil {
		st := s.client.stats()
		o.Stats = &st
	}
	return o
}

// serve is what the program is for: it serves until ctx ends.
func (o options) serve(ctx context.Context, l *logger) (*report, error) {
	s, err := startServer(ctx, o, newStayopen, l)
	if err != nil {
		return nil, err
	}
	defer s.close()
	s.log.printf("listening on %s, passing on to %s", s.listener.Addr(), plural(len(o.upstreams), "upstream"))
	if s.admin != nil {
		s.log.printf("status on http://%s/status", s.admin.addr)
	}
	if err := s.run(ctx); err != nil {
		return nil, err
	}
	out := s.outcome()
	out.Stats = s.client.atRest()
	return &report{options: o, runs: []outcome{out}}, nil
}

// exitCode says what a script is to think of it, and stderr why.
func (r *report) exitCode(stderr io.Writer) int {
	if r.interrupted {
		return exitInterrupted
	}
	code := 0
	for _, o := range r.runs {
		if o.Cut > 0 {
			fmt.Fprintf(stderr, "proxy: %s cut off at the end of -grace\n", plural(o.Cut, "request"))
			code = exitFailed
		}
		for _, d := range o.disagreements() {
			fmt.Fprintf(stderr, "proxy: %s\n", d)
			code = exitFailed
		}
	}
	return code
}

// disagreements lists where a client's figures and the upstreams' differ.
func (o outcome) disagreements() (all []string) {
	if o.Demo == nil {
		return nil
	}
	check := func(what string, own, theirs int) {
		if own != theirs {
			all = append(all, fmt.Sprintf("%s: %s counted %d, the demo %d", what, o.Name, own, theirs))
		}
	}
	check("requests", int(o.Requests), o.Demo.Requests)
	check("requests failed", int(o.Failed), o.Demo.Failed)
	if o.Stats != nil {
		check("connections opened", int(o.Stats.Opened), o.Demo.Opened)
		check("connections served", int(o.Stats.Served), o.Demo.Served)
		check("answers", int(o.Stats.Exchanges), o.Demo.Answers)
		check("closes avoided", int(o.Stats.ClosesAvoided), o.Demo.Avoided)
	}
	return all
}

// writeJSON writes the report for a program to read.
func (r *report) writeJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(struct {
		Interrupted bool      `json:"interrupted"`
		Runs        []outcome `json:"runs"`
	}{r.interrupted, r.runs})
}
