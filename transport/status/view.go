package status

import (
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"slices"
	"time"

	"github.com/stayopen-go/stayopen/dialer/hostcheck"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string

	page = template.Must(template.New("page").Parse(pageHTML))

	// policy allows the page its own style and script, and to fetch itself.
	policy = "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'; connect-src 'self'; " +
		"style-src " + hashOf(pageCSS) + "; script-src " + hashOf(pageJS)
)

// hashOf is how a Content-Security-Policy names an inline style or script.
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// view is what the template shows: everything is text, in the order of the page.
type view struct {
	CSS template.CSS
	JS  template.JS

	Title, Taken, Since, Age string
	Search, Order            string
	Limit, Rows              int
	JSON                     string // the address of the same as JSON

	Tiles      []tile
	Charts     []chart
	Transports []section
	Budgets    []budgetRow
	MoreBudget int
	Host       *hostView
}

// tile is one large figure.
type tile struct {
	Class, Label, Value, Text string
	Bar                       *bar
}

// bar is a share of a line, in parts of a hundred.
type bar struct {
	A, B, C float64 // one after the other
	AB      float64 // A + B
}

func newBar[N int | uint64](whole, a, b, c N) *bar {
	part := func(n N) float64 { return float64(int(10000*min(ratio(n, whole), 1))) / 100 }
	out := &bar{A: part(a), B: part(b), C: part(c)}
	out.AB = out.A + out.B
	return out
}

func (h *Handler) view(r *Report, c choice) *view {
	v := &view{
		CSS: template.CSS(pageCSS), JS: template.JS(pageJS),
		Title: r.Title, Taken: r.Taken.UTC().Format("2006-01-02 15:04:05 UTC"),
		Since: r.Since.UTC().Format("2006-01-02 15:04:05 UTC"), Age: span(r.Taken.Sub(r.Since)),
		Search: c.search, Order: c.order, Limit: c.limit, Rows: h.cfg.MaxRows,
	}
	v.JSON = c.query(h.cfg.MaxRows)
	if v.JSON != "?" {
		v.JSON += "&"
	}
	v.JSON += "format=json"
	past := together(r.Transports)
	v.Tiles = tiles(sumOf(r.Transports), past, h.cfg.Interval)
	v.Charts = charts(past, h.cfg.Interval)
	for i := range r.Transports {
		v.Transports = append(v.Transports, h.section(i, &r.Transports[i], c, len(r.Transports) > 1))
	}
	for _, b := range r.Budgets {
		v.Budgets = append(v.Budgets, budgetRowOf(b, r.Taken))
	}
	v.MoreBudget = r.BudgetsTotal - len(r.Budgets)
	if r.Host != nil {
		if len(r.Host.TimeWaits) > 0 {
			v.Charts = append(v.Charts, hostChart(r.Host.TimeWaits))
		}
		v.Host = hostViewOf(r.Host, r.Taken)
	}
	return v
}

// sumOf adds up what the tiles show.
func sumOf(all []Transport) Transport {
	var s Transport
	for _, t := range all {
		s.Requests += t.Requests
		s.Failed += t.Failed
		s.Retries += t.Retries
		s.Exchanges += t.Exchanges
		s.Opened += t.Opened
		s.Wasted += t.Wasted
		s.ClosesAvoided += t.ClosesAvoided
		s.TLSHandshakes += t.TLSHandshakes
		s.TLSResumed += t.TLSResumed
		s.TimeWaits += t.TimeWaits
		s.Closed += t.Closed
		s.Waited += t.Waited
		s.WaitTime += t.WaitTime
		s.Open += t.Open
		s.Busy += t.Busy
		s.Idle += t.Idle
		s.Active += t.Active
		s.Dialing += t.Dialing
		s.Waiting += t.Waiting
	}
	return s
}

func tiles(s Transport, past []Point, every time.Duration) []tile {
	now := func(total func(Point) uint64) string {
		dots := rates(past, max(every/2, 0), total)
		if len(dots) == 0 {
			return "0/s"
		}
		return rate(dots[len(dots)-1].y)
	}
	failed := tile{Label: "Failed requests", Value: whole(s.Failed), Text: fmt.Sprintf("%s of %s; %s sent again", percent(ratio(s.Failed, s.Requests)), whole(s.Requests), whole(s.Retries))}
	if s.Failed > 0 {
		failed.Class = "bad"
	}
	waiting := tile{Label: "Waiting", Value: whole(s.Waiting), Text: "nobody has had to wait"}
	if s.Waited > 0 {
		waiting.Text = fmt.Sprintf("%s have waited, %s on average", whole(s.Waited), span(seconds(s.WaitTime/float64(s.Waited))))
	}
	if s.Waiting > 0 {
		waiting.Class = "warn"
	}
	return []tile{
		{Class: "hero", Label: "Closes avoided", Value: whole(s.ClosesAvoided), Text: percent(ratio(s.ClosesAvoided, s.Exchanges)) + " of exchanges on a reused connection"},
		{Label: "Exchanges", Value: whole(s.Exchanges), Text: now(func(p Point) uint64 { return p.Exchanges }) + " now"},
		{Label: "Open connections", Value: whole(s.Open), Text: fmt.Sprintf("%s busy, %s idle", whole(s.Busy), whole(s.Idle)), Bar: newBar(s.Open, s.Busy, s.Idle, 0)},
		{Label: "Opened", Value: whole(s.Opened), Text: fmt.Sprintf("%s now; %s not used", now(func(p Point) uint64 { return p.Opened }), whole(s.Wasted))},
		waiting,
		{Label: "TIME_WAITs left here", Value: whole(s.TimeWaits), Text: fmt.Sprintf("by %s of %s closes", percent(ratio(s.TimeWaits, s.Closed)), whole(s.Closed))},
		failed,
		{Label: "TLS handshakes", Value: whole(s.TLSHandshakes), Text: percent(ratio(s.TLSResumed, s.TLSHandshakes)) + " resumed"},
	}
}

// budgetRow is a port budget.
type budgetRow struct {
	Source, Destination, Open, TimeWait, Size, Used, Pause, Class string
	Bar                                                           *bar
}

func budgetRowOf(b Budget, now time.Time) budgetRow {
	row := budgetRow{
		Source: cmp.Or(b.Source, "chosen by the kernel"), Destination: b.Destination,
		Open: whole(b.Open), TimeWait: whole(b.TimeWait), Size: whole(b.Size), Used: percent(b.Used),
		Bar: newBar(b.Size, b.Open, b.TimeWait, 0),
	}
	if b.ResumesAt.After(now) {
		row.Pause = "no port; asked again in " + span(b.ResumesAt.Sub(now))
	}
	switch {
	case b.Used >= 0.95 || row.Pause != "":
		row.Class = "bad"
	case b.Used >= 0.5:
		row.Class = "warn"
	}
	return row
}

// hostView is what was found about the host: what asks for a change, and what is
// good.
type hostView struct {
	Checked, Error string
	Open           []hostcheck.Finding
	Good           []hostcheck.Finding
}

func hostViewOf(h *Host, now time.Time) *hostView {
	v := &hostView{Error: h.Error}
	if !h.Checked.IsZero() {
		v.Checked = span(max(now.Sub(h.Checked).Round(time.Second), time.Second))
	}
	good := slices.IndexFunc(h.Findings, func(f hostcheck.Finding) bool { return f.Severity == hostcheck.Good })
	if good < 0 {
		good = len(h.Findings)
	}
	v.Open, v.Good = h.Findings[:good], h.Findings[good:]
	return v
}
