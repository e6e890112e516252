package main

import (
	"encoding/json"
	"io"
	"slices"
	"time"
)

// writeJSON writes the figures of every client as one object.
func (r report) writeJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(struct {
		Clients []figures `json:"clients"`
	}{append([]figures{}, r.clients...)})
}

// figures is what one client did. A nil figure was not measured.
type figures struct {
	Name string `json:"name"`
	// Requests counts those that were answered and those that failed.
	Requests     int  `json:"requests"`
	Errors       int  `json:"errors"`
	Opened       *int `json:"opened"`
	OpenedBursts *int `json:"opened_bursts"`
	// Closed counts the connections that the client ended first while the
	// load ran.
	Closed *int `json:"closed"`
	// TimeWait counts those on the client's side at the end of the load, with
	// the client still there.
	TimeWait       *int `json:"time_wait"`
	TimeWaitBursts *int `json:"time_wait_bursts"`
	// TimeWaitAfterClose counts those that closing the client added.
	TimeWaitAfterClose *int `json:"time_wait_after_close"`
	// ServerTimeWait and ServerTimeWaitAfterClose are the same for the
	// server's side.
	ServerTimeWait           *int     `json:"server_time_wait"`
	ServerTimeWaitAfterClose *int     `json:"server_time_wait_after_close"`
	CPUMicros                *float64 `json:"cpu_us_per_request"`
	P50                      *float64 `json:"p50_ms"`
	P99                      *float64 `json:"p99_ms"`
	P50Bursts                *float64 `json:"p50_ms_bursts"`
	P99Bursts                *float64 `json:"p99_ms_bursts"`
	P50Mix                   *float64 `json:"p50_ms_mix"`
	P99Mix                   *float64 `json:"p99_ms_mix"`
	// ClosesAvoided counts the answers on a connection that had already
	// brought one.
	ClosesAvoided *int `json:"closes_avoided"`
}

func (m *measurement) figures() figures {
	t := m.afterMix.tally
	f := figures{
		Name:          m.client.name,
		Requests:      m.bursts.requests() + m.mix.requests(),
		Errors:        m.bursts.failures + m.mix.failures,
		Opened:        count(t.Accepted),
		OpenedBursts:  count(m.afterBursts.tally.Accepted),
		ClosesAvoided: count(t.Answers - t.Served),
		CPUMicros:     m.cpuPerRequest(),
	}
	f.P50, f.P99 = percentiles(m.bursts.latencies, m.mix.latencies)
	f.P50Bursts, f.P99Bursts = percentiles(m.bursts.latencies)
	f.P50Mix, f.P99Mix = percentiles(m.mix.latencies)
	if t.bothSides() {
		f.Closed = count(t.ClosedByPeer)
	}
	if m.notMeasured() != nil {
		return f
	}
	f.TimeWaitBursts = count(m.afterBursts.census.without(m.before.census))
	f.TimeWait = count(m.afterMix.census.without(m.before.census))
	f.TimeWaitAfterClose = count(m.afterClose.census.without(m.afterMix.census))
	if t.bothSides() {
		f.ServerTimeWait = count(m.afterMix.census.servers)
		f.ServerTimeWaitAfterClose = count(max(0, m.afterClose.census.servers-m.afterMix.census.servers))
	}
	return f
}

// notMeasured says why the kernel's counts are missing, nil when they are
// not.
func (m *measurement) notMeasured() error {
	for _, s := range []sighting{m.before, m.afterBursts, m.afterMix, m.afterClose} {
		if s.censusErr != nil {
			return s.censusErr
		}
	}
	return nil
}

func (m *measurement) firstError() error {
	if m.bursts.firstError != nil {
		return m.bursts.firstError
	}
	return m.mix.firstError
}

func (m *measurement) cpuPerRequest() *float64 {
	n := m.bursts.requests() + m.mix.requests()
	if n == 0 || !m.bursts.cpuKnown || !m.mix.cpuKnown {
		return nil
	}
	perRequest := float64(m.bursts.cpu+m.mix.cpu) / float64(time.Microsecond) / float64(n)
	return &perRequest
}

func count[T int | int64](n T) *int {
	i := int(n)
	return &i
}

// percentiles returns the 50th and 99th in milliseconds, nil when there was
// no answer.
func percentiles(parts ...[]time.Duration) (p50, p99 *float64) {
	all := slices.Concat(parts...)
	if len(all) == 0 {
		return nil, nil
	}
	slices.Sort(all)
	ms := func(share float64) *float64 {
		v := float64(percentile(all, share)) / float64(time.Millisecond)
		return &v
	}
	return ms(0.50), ms(0.99)
}
