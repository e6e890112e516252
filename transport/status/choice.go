package status

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// choice is what an address asks for.
type choice struct {
	search string // in lower case
	order  string // a key of orders
	limit  int
}

const defaultOrder = "exchanges"

// orders are the figures that origins can be sorted by, the largest first.
var orders = map[string]func(o *Origin) uint64{
	"exchanges":  func(o *Origin) uint64 { return o.Exchanges },
	"open":       func(o *Origin) uint64 { return uint64(o.Open) },
	"busy":       func(o *Origin) uint64 { return uint64(o.Busy) },
	"idle":       func(o *Origin) uint64 { return uint64(o.Idle) },
	"waiting":    func(o *Origin) uint64 { return uint64(o.Waiting) },
	"opened":     func(o *Origin) uint64 { return o.Opened },
	"avoided":    func(o *Origin) uint64 { return o.ClosesAvoided },
	"closed":     func(o *Origin) uint64 { return o.Closed },
	"time_waits": func(o *Origin) uint64 { return o.TimeWaits },
	"failed":     func(o *Origin) uint64 { return o.DialsFailed },
	"host":       func(o *Origin) uint64 { return 0 },
}

// choiceOf reads an address's query. What makes no sense in it is not there.
func choiceOf(query url.Values, rows int) choice {
	c := choice{search: strings.ToLower(query.Get("q")), order: query.Get("sort"), limit: rows}
	if orders[c.order] == nil {
		c.order = defaultOrder
	}
	if n, err := strconv.Atoi(query.Get("limit")); err == nil && n > 0 {
		c.limit = min(n, maxRows)
	}
	return c
}

// query is the address's query for the choice, with what is the default left out.
func (c choice) query(rows int) string {
	v := make(url.Values)
	if c.search != "" {
		v.Set("q", c.search)
	}
	if c.order != defaultOrder {
		v.Set("sort", c.order)
	}
	if c.limit != rows {
		v.Set("limit", strconv.Itoa(c.limit))
	}
	return "?" + v.Encode()
}

// of returns what is chosen of a report, which is left as it is.
func (c choice) of(all *Report) *Report {
	r := *all
	r.Transports = slices.Clone(all.Transports)
	for i := range r.Transports {
		t := &r.Transports[i]
		t.Origins, t.OriginsMatched = c.origins(t.Origins)
	}
	r.Budgets = r.Budgets[:min(c.limit, len(r.Budgets))]
	return &r
}

// origins returns those that are searched for, in order and up to the limit, and
// how many there are. What is left of those that are forgotten comes last.
func (c choice) origins(all []Origin) (shown []Origin, matched int) {
	chosen := make([]*Origin, 0, len(all))
	for i := range all {
		if c.matches(&all[i]) {
			chosen = append(chosen, &all[i])
		}
	}
	figure := orders[c.order]
	slices.SortFunc(chosen, func(a, b *Origin) int {
		if (a.Scheme == "") != (b.Scheme == "") {
			return cmp.Compare(b.Scheme, a.Scheme)
		}
		return cmp.Or(
			cmp.Compare(figure(b), figure(a)),
			cmp.Compare(a.Host, b.Host), cmp.Compare(a.Scheme, b.Scheme), cmp.Compare(a.Proxy, b.Proxy), a.Source.Compare(b.Source),
		)
	})
	shown = make([]Origin, min(c.limit, len(chosen)))
	for i := range shown {
		shown[i] = *chosen[i]
	}
	return shown, len(chosen)
}

func (c choice) matches(o *Origin) bool {
	if c.search == "" {
		return true
	}
	return strings.Contains(strings.ToLower(o.Scheme+"://"+o.Host), c.search) || strings.Contains(strings.ToLower(o.Proxy), c.search)
}
