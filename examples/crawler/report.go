package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/transport"
)

// report is the outcome of all crawls.
type report struct {
	options     options
	crawls      []outcome
	interrupted bool
}

// outcome is what came of one client's crawl.
type outcome struct {
	Name string `json:"client"`
	figures
	// Stats are the client's own figures, nil if it has none.
	Stats *transport.Stats `json:"stats,omitempty"`
	// Truth is what the demo's sites counted, nil if the crawl was not theirs.
	Truth *truth `json:"sites,omitempty"`
	// Sources are the local ports in use at the end, by source address.
	Sources []source      `json:"sources,omitempty"`
	Top     []hostFigures `json:"top,omitempty"`

	demo *demo // closed; its log is read by tests
}

// source is one of the addresses that were dialed from.
type source struct {
	Address  netip.Addr `json:"address"`
	Open     int        `json:"open"`
	TimeWait int        `json:"timeWait"`
}

// crawl crawls with every client that the options ask for, one after the other.
func (o options) crawl(ctx context.Context, p *progress) (*report, error) {
	clients := []func(options) (client, error){newStayopen}
	if o.compare {
		clients = []func(options) (client, error){newDefault, newStayopen}
	}
	r := &report{options: o}
	for _, newClient := range clients {
		if ctx.Err() != nil {
			break
		}
		out, err := o.crawlWith(ctx, newClient, p)
		if err != nil {
			return nil, err
		}
		r.crawls = append(r.crawls, out)
	}
	r.interrupted = ctx.Err() != nil
	return r, nil
}

func (o options) crawlWith(ctx context.Context, newClient func(options) (client, error), p *progress) (out outcome, err error) {
	if o.demo {
		// Each client has sites, and with them a port, of its own.
		if out.demo, err = startDemo(ctx, o.demoSites, o.demoPages); err != nil {
			return out, err
		}
		defer out.demo.close()
		o.start = out.demo.start()
	}
	c, err := newClient(o)
	if err != nil {
		return out, err
	}
	defer c.close()
	s := new(shown)
	shows := p.begin(c, s)
	out.Name, out.figures = c.name, newCrawl(o, newFetcher(o, c.rt), s).run(ctx)
	shows.end()
	out.Top = out.top(o.top)
	if out.demo != nil {
		t, err := out.demo.settled(ctx)
		if err != nil {
			return out, err
		}
		out.Truth = &t
	}
	if c.stats != nil {
		st := atRest(c.stats)
		out.Stats, out.Sources = &st, sources()
	}
	return out, nil
}

// atRest returns the figures when no dial is in progress and no exchange running,
// but waits no longer than a dial may take.
func atRest(stats func() transport.Stats) transport.Stats {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	st := stats()
	for begun := time.Now(); st.Dialing+st.Active > 0 && time.Since(begun) < time.Second; st = stats() {
		<-tick.C
	}
	return st
}

// sources adds up the port budgets by source.
func sources() []source {
	by := map[netip.Addr]source{}
	for b := range dialer.Budgets() {
		if b.Source.IsValid() {
			s := by[b.Source]
			by[b.Source] = source{b.Source, s.Open + b.Open, s.TimeWait + b.TimeWait}
		}
	}
	var all []source
	for _, s := range by {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b source) int { return a.Address.Compare(b.Address) })
	return all
}

// exitCode says what a script is to think of it, and stderr why.
func (r *report) exitCode(stderr io.Writer) int {
	if r.interrupted {
		return exitInterrupted
	}
	code := 0
	for _, o := range r.crawls {
		for _, d := range o.disagreements() {
			fmt.Fprintf(stderr, "crawler: %s\n", d)
			code = exitFailed
		}
	}
	return code
}

// disagreements lists where a client's figures and the sites' differ.
func (o outcome) disagreements() (all []string) {
	if o.Stats == nil || o.Truth == nil {
		return nil
	}
	for _, f := range []struct {
		what  string
		own   uint64
		sites int
	}{
		{"connections opened", o.Stats.Opened, o.Truth.Opened},
		{"connections served", o.Stats.Served, o.Truth.Served},
		{"answers", o.Stats.Exchanges, o.Truth.Answers},
		{"closes avoided", o.Stats.ClosesAvoided, o.Truth.Avoided},
	} {
		if f.own != uint64(f.sites) {
			all = append(all, fmt.Sprintf("%s: %s counted %d, the sites %d", f.what, o.Name, f.own, f.sites))
		}
	}
	return all
}

// writeJSON writes the report for a program to read.
func (r *report) writeJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(struct {
		Interrupted bool      `json:"interrupted"`
		Crawls      []outcome `json:"crawls"`
	}{r.interrupted, r.crawls})
}
