package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"github.com/stayopen-go/stayopen/transport"
)

// report is the outcome of a comparison.
type report struct {
	options options
	clients []figures
	// notMeasured says why there are no TIME_WAITs in it; nil when there are.
	notMeasured error
	// disagreements are sentences about figures of stayopen's own that
	// differ from what the server counted.
	disagreements []string
	// firstErrors has one failed request of each client that had any.
	firstErrors []error
	interrupted bool
}

// compare sends the load through one client after the other. When ctx ends
// it returns what there is.
func compare(ctx context.Context, o options, prog *progress) (r report, err error) {
	sites, stop, err := newSites(o, len(newClients))
	if err != nil {
		return report{}, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	r.options = o
	p := newPlan(o)
	for i, newClient := range newClients {
		if ctx.Err() != nil {
			break
		}
		c, err := newClient()
		if err != nil {
			return report{}, fmt.Errorf("cannot make the client: %w", err)
		}
		m, err := measure(ctx, c, sites[i], p, prog)
		if err != nil {
			return report{}, err
		}
		r.add(ctx, m)
	}
	r.interrupted = ctx.Err() != nil
	return r, nil
}

func (r *report) add(ctx context.Context, m *measurement) {
	r.clients = append(r.clients, m.figures())
	r.notMeasured = errors.Join(r.notMeasured, m.notMeasured())
	if err := m.firstError(); err != nil {
		r.firstErrors = append(r.firstErrors, fmt.Errorf("%s: %w", m.client.name, err))
	}
	// A dial or a request cut off is counted by one side and not by the other.
	if ctx.Err() == nil && m.firstError() == nil {
		r.disagreements = append(r.disagreements, m.disagreements()...)
	}
}

// measurement is what was seen of one client.
type measurement struct {
	client      client
	site        site
	bursts, mix *load
	// What there was before the first request, after each phase with the
	// client still there, and after it was closed.
	before, afterBursts, afterMix, afterClose sighting
	// stats is what the client says of itself after the mix; the zero value
	// if it says nothing.
	stats transport.Stats
}

// measure sends the load of p through c. The client is closed when it
// returns.
func measure(ctx context.Context, c client, s site, p plan, prog *progress) (*measurement, error) {
	m := &measurement{client: c, site: s}
	m.before.census, m.before.censusErr = takeCensus(func(netip.AddrPort) bool { return true })
	err := m.run(ctx, p, prog)
	if closeErr := c.close(); closeErr != nil {
		err = errors.Join(err, fmt.Errorf("cannot close %s: %w", c.name, closeErr))
	}
	if err != nil {
		return nil, err
	}
	m.afterClose, err = look(s, true)
	return m, err
}

func (m *measurement) run(ctx context.Context, p plan, prog *progress) (err error) {
	get := getter(m.client.rt, m.site)
	m.bursts = &load{get: get, origins: m.site.origins()}
	m.mix = &load{get: get, origins: m.site.origins()}

	m.bursts.progress = prog.begin(m.client.name, "bursts", p.burstRequests())
	m.bursts.measureCPU(func() { m.bursts.bursts(ctx, p) })
	m.bursts.progress.end()
	if m.afterBursts, err = look(m.site, false); err != nil {
		return err
	}

	m.mix.progress = prog.begin(m.client.name, "steady mix", len(p.mix))
	m.mix.measureCPU(func() { m.mix.mix(ctx, p) })
	m.mix.progress.end()
	if m.afterMix, err = look(m.site, false); err != nil {
		return err
	}
	if m.client.stats != nil {
		m.stats = m.client.stats()
	}
	return nil
}

// measureCPU notes the CPU time that this process takes while send runs.
func (r *results) measureCPU(send func()) {
	// What earlier clients left behind is not this one's to collect.
	runtime.GC()
	before, _ := cpuTime()
	send()
	after, known := cpuTime()
	r.cpu, r.cpuKnown = after-before, known
}

// sighting is what the server and the kernel count at one moment.
type sighting struct {
	tally  tally
	census census
	// censusErr says why there is no census.
	censusErr error
}

// Opening and closing a connection takes moments on loopback and a few round
// trips elsewhere.
const (
	lookEvery = 20 * time.Millisecond
	lookLimit = 3 * time.Second
)

// look waits until no connection to the site is being opened or closed (and,
// with closed set, until none is open), for a few seconds at most, and
// returns what the server and the kernel count then.
func look(s site, closed bool) (sighting, error) {
	var last tally
	for start := time.Now(); ; time.Sleep(lookEvery) {
		var now sighting
		var err error
		if now.tally, err = s.tally(); err != nil {
			return sighting{}, err
		}
		now.census, now.censusErr = takeCensus(s.isServer)
		if now.tally == last && now.atRest(closed) || time.Since(start) > lookLimit {
			return now, nil
		}
		last = now.tally
	}
}

// atRest reports whether nothing that is counted here is about to change.
func (s sighting) atRest(closed bool) bool {
	if closed && s.tally.Open+int64(s.census.open) > 0 {
		return false
	}
	if s.censusErr != nil {
		return true
	}
	// A connection still waiting to be accepted, or a RST that the server has
	// not read yet, leaves a difference between the two.
	return s.census.moving == 0 && (!s.tally.bothSides() || s.tally.Open == int64(s.census.open))
}
