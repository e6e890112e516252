package status

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/transport"
)

// figuresAge is how old figures may be that somebody is shown.
const figuresAge = time.Second

// figures are read from the transports, once for all who look at the same time.
// What it hands out is shared, and never changed.
type figures struct {
	mu     sync.Mutex // held while they are read: who looks meanwhile waits for them
	taken  time.Time
	report *Report
}

// now returns figures that are not old. Everything is in them, in no order.
func (f *figures) now(h *Handler) *Report {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.report == nil || time.Since(f.taken) >= figuresAge {
		f.report = h.collect()
		f.taken = time.Now() // after it: very many origins take long
	}
	return f.report
}

// collect reads everything.
func (h *Handler) collect() *Report {
	r := &Report{Title: h.cfg.Title, Taken: time.Now(), Since: h.since, Budgets: []Budget{}}
	for i, t := range h.cfg.Transports {
		r.Transports = append(r.Transports, h.transport(i, t))
	}
	for b := range dialer.Budgets() {
		r.Budgets = append(r.Budgets, budgetOf(b))
	}
	slices.SortFunc(r.Budgets, func(a, b Budget) int {
		return cmp.Or(cmp.Compare(b.Used, a.Used), cmp.Compare(a.Destination, b.Destination), cmp.Compare(a.Source, b.Source))
	})
	r.BudgetsTotal = len(r.Budgets)
	if h.host != nil {
		r.Host = h.host.look()
		r.Host.TimeWaits = h.history.ofHost()
	}
	return r
}

func (h *Handler) transport(i int, t *transport.Transport) Transport {
	s := t.Stats()
	out := Transport{
		Name: t.Name(), Requests: s.Requests, Failed: s.Failed, Retries: s.Retries, Exchanges: s.Exchanges,
		Opened: s.Opened, Closed: s.Closed, Served: s.Served, Wasted: s.Wasted, Reused: s.Reused,
		ClosesAvoided: s.ClosesAvoided, ReuseRatio: ratio(s.ClosesAvoided, s.Exchanges),
		TLSHandshakes: s.TLSHandshakes, TLSResumed: s.TLSResumed, TimeWaits: s.TimeWaits,
		Waited: s.Waited, WaitTime: s.WaitTime.Seconds(), DrainedBytes: s.DrainedBytes,
		Open: s.Open, Busy: s.Open - s.Idle, Idle: s.Idle, Active: s.Active, Dialing: s.Dialing, Waiting: s.Waiting,
		Closes: []Close{},
	}
	for _, c := range t.Closes() {
		out.Closes = append(out.Closes, Close{c.Reason, string(c.By), c.N})
	}
	slices.SortStableFunc(out.Closes, func(a, b Close) int { return cmp.Compare(b.N, a.N) })
	out.Origins = originsOf(t)
	out.OriginsTotal = len(out.Origins)
	out.History = append(h.history.of(i), pointOf(t))
	return out
}

// likeness is what is shown of an origin's name.
type likeness struct {
	scheme, host, proxy string
	source              netip.Addr
}

// originsOf adds up origins that look alike.
func originsOf(t *transport.Transport) []Origin {
	sums := make(map[likeness]*Origin)
	for s := range t.Origins() {
		like := likeness{s.Scheme, s.Host, s.Proxy, s.Source}
		o := sums[like]
		if o == nil {
			o = &Origin{Scheme: s.Scheme, Host: s.Host, Proxy: s.Proxy, Source: s.Source}
			sums[like] = o
		}
		o.add(s)
	}
	all := make([]Origin, 0, len(sums))
	for o := range maps.Values(sums) {
		all = append(all, *o)
	}
	return all
}

func (o *Origin) add(s transport.OriginStats) {
	o.Parts++
	o.Protocol = max(o.Protocol, s.Protocol)
	o.Open += s.Open
	o.Busy += s.Open - s.Idle
	o.Idle += s.Idle
	o.Active += s.Active
	o.Dialing += s.Dialing
	o.Waiting += s.Waiting
	o.Exchanges += s.Exchanges
	o.Opened += s.Opened
	o.DialsFailed += s.DialsFailed
	o.Closed += s.Closed
	o.ClosedByPeer += s.ClosedByPeer
	o.Wasted += s.Wasted
	o.ClosesAvoided += s.ClosesAvoided
	o.TimeWaits += s.TimeWaits
	o.Waited += s.Waited
	o.WaitTime += s.WaitTime.Seconds()
}

func budgetOf(b dialer.Budget) Budget {
	out := Budget{
		Destination: b.Destination.String(), Open: b.Open, TimeWait: b.TimeWait,
		Size: b.Size, Used: b.Used(), ResumesAt: b.ResumesAt,
	}
	if b.Source.IsValid() {
		out.Source = b.Source.String()
	}
	return out
}

func ratio[N int | uint64](part, whole N) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}
