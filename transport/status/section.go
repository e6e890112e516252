package status

import (
	"fmt"
	"slices"
	"strings"
)

// section is one transport's part of the page.
type section struct {
	ID     int
	Name   string
	Tiles  []tile  // empty for the only one, whose figures are at the top already
	Charts []chart // as well

	Columns []column
	Origins []originRow
	Count   string
	More    int
	All     string // the address of more; empty if there are no more to be had

	Closes    []closeRow
	ByUs      string
	ByPeer    string
	Waits     []fact
	Searching bool
}

// column is a column of the table of origins.
type column struct {
	Name, Title string
	Link        string // the address of the page sorted by it; empty if it cannot be
	Sorted      string // aria-sort
	ID          string
}

type fact struct{ Name, Value string }

func (h *Handler) section(id int, t *Transport, c choice, several bool) section {
	s := section{ID: id, Name: t.Name, Columns: columns(id, c, h.cfg.MaxRows), Searching: c.search != ""}
	if several {
		s.Tiles = tiles(*t, t.History, h.cfg.Interval)[:6]
		s.Charts = charts(t.History, h.cfg.Interval)
	}
	most := 0
	for _, o := range t.Origins {
		most = max(most, o.Open)
	}
	for i := range t.Origins {
		s.Origins = append(s.Origins, originRowOf(&t.Origins[i], most))
	}
	s.Count = whole(t.OriginsTotal)
	if c.search != "" {
		s.Count = fmt.Sprintf("%s of %s", whole(t.OriginsMatched), whole(t.OriginsTotal))
	}
	if s.More = t.OriginsMatched - len(t.Origins); s.More > 0 && c.limit < maxRows {
		more := c
		more.limit = min(max(10*c.limit, 100), maxRows)
		s.All = more.query(h.cfg.MaxRows)
	}
	s.closes(t.Closes)
	s.Waits = waits(t)
	return s
}

func columns(id int, c choice, rows int) []column {
	all := []column{
		{Name: "Origin", Title: "where connections go to", ID: "host"},
		{Name: "Open", Title: "connections open now", ID: "open"},
		{Name: "Busy", Title: "connections with an exchange", ID: "busy"},
		{Name: "Idle", Title: "connections without an exchange", ID: "idle"},
		{Name: "Waiting", Title: "requests that wait for a connection, and how long they have waited on average", ID: "waiting"},
		{Name: "Exchanges", Title: "final response headers received", ID: "exchanges"},
		{Name: "Opened", Title: "connections established", ID: "opened"},
		{Name: "Avoided", Title: "closes avoided: exchanges on a connection that had served before, and their share", ID: "avoided"},
		{Name: "Closed", Title: "connections closed, and the share that the peer closed", ID: "closed"},
		{Name: "TIME_WAIT", Title: "closes that left a TIME_WAIT on this host", ID: "time_waits"},
		{Name: "Failed", Title: "dials that failed", ID: "failed"},
	}
	for i := range all {
		by := c
		by.order = all[i].ID
		all[i].Link = by.query(rows)
		if c.order == by.order {
			all[i].Sorted = "descending"
			if by.order == "host" {
				all[i].Sorted = "ascending"
			}
		}
		all[i].ID = fmt.Sprintf("sort-%d-%s", id, all[i].ID)
	}
	return all
}

// originRow is a row of the table of origins.
type originRow struct {
	Name, Full, Text string
	Class            string
	Open             string
	Bar              *bar
	Cells            []cell
}

// cell is a figure, with another one that belongs to it in small.
type cell struct{ Name, Value, Text, Class string }

func originRowOf(o *Origin, most int) originRow {
	row := originRow{Open: whole(o.Open), Bar: newBar(most, o.Busy, o.Idle, 0)}
	row.name(o)
	if o.Waiting > 0 {
		row.Class = "warn"
	}
	number := func(name string, n uint64, text string) cell {
		c := cell{Name: name, Value: whole(n), Text: text}
		if n == 0 {
			c.Class = "zero"
		}
		return c
	}
	text := func(n uint64, format string, value any) string {
		if n == 0 {
			return ""
		}
		return fmt.Sprintf(format, value)
	}
	row.Cells = []cell{
		number("Busy", uint64(o.Busy), ""),
		number("Idle", uint64(o.Idle), ""),
		number("Waiting", uint64(o.Waiting), text(o.Waited, "avg %s", span(seconds(o.WaitTime/float64(max(o.Waited, 1)))))),
		number("Exchanges", o.Exchanges, ""),
		number("Opened", o.Opened, ""),
		number("Avoided", o.ClosesAvoided, text(o.Exchanges, "%s", percent(ratio(o.ClosesAvoided, o.Exchanges)))),
		number("Closed", o.Closed, text(o.Closed, "peer %s", percent(ratio(o.ClosedByPeer, o.Closed)))),
		number("TIME_WAIT", o.TimeWaits, ""),
		number("Failed", o.DialsFailed, ""),
	}
	if o.DialsFailed > 0 {
		row.Cells[8].Class = "bad"
	}
	if o.Waiting > 0 {
		row.Cells[2].Class = "warn"
	}
	return row
}

// name says which origin the row is of.
func (row *originRow) name(o *Origin) {
	if o.Scheme == "" {
		row.Name, row.Text, row.Class = "origins that are forgotten", "they have had no connection for long", "rest"
		return
	}
	row.Name = visible(o.Host)
	if o.Host == "" {
		row.Name = "all hosts"
	}
	row.Full = o.Scheme + "://" + row.Name
	words := []string{o.Scheme}
	if o.Protocol != "" {
		words = append(words, strings.TrimSuffix(o.Protocol, ".0"))
	}
	if o.Proxy != "" {
		words = append(words, "through "+visible(o.Proxy))
	}
	if o.Source.IsValid() {
		words = append(words, "from "+o.Source.String())
	}
	if o.Parts > 1 {
		words = append(words, whole(o.Parts)+" apart")
	}
	row.Text = strings.Join(words, " · ")
}

// closeRow is one reason for closing.
type closeRow struct {
	Reason, Text, Local, Peer, Share string
	Bar                              *bar
	total, local, peer               uint64
}

// closes puts together who closed for one reason. By whom is not known everywhere:
// what is not the peer's counts as ours.
func (s *section) closes(all []Close) {
	var sum, peer, most uint64
	var rows []closeRow
	for _, c := range all {
		i := slices.IndexFunc(rows, func(r closeRow) bool { return r.Reason == c.Reason })
		if i < 0 {
			i = len(rows)
			rows = append(rows, closeRow{Reason: c.Reason, Text: reasons[c.Reason]})
		}
		r := &rows[i]
		r.total += c.N
		if c.By == "peer" {
			r.peer += c.N
			peer += c.N
		} else {
			r.local += c.N
		}
		sum += c.N
		most = max(most, r.total)
	}
	slices.SortStableFunc(rows, func(a, b closeRow) int { return int(int64(b.total) - int64(a.total)) })
	for i := range rows {
		r := &rows[i]
		r.Local, r.Peer, r.Share = whole(r.local), whole(r.peer), percent(ratio(r.total, sum))
		r.Bar = newBar(most, r.local, r.peer, 0)
	}
	s.Closes = rows
	s.ByUs, s.ByPeer = whole(sum-peer), whole(peer)
}

// waits are what there is to say about waiting.
func waits(t *Transport) []fact {
	facts := []fact{
		{"Waiting now", whole(t.Waiting)},
		{"Dialing now", whole(t.Dialing)},
		{"Have waited", fmt.Sprintf("%s (%s of exchanges)", whole(t.Waited), percent(min(ratio(t.Waited, t.Exchanges), 1)))},
	}
	if t.Waited > 0 {
		facts = append(facts, fact{"Wait on average", span(seconds(t.WaitTime / float64(t.Waited)))})
	}
	return append(facts, fact{"Exchanges running", whole(t.Active)}, fact{"Read to keep connections", size(t.DrainedBytes)})
}

// size writes a number of bytes.
func size(n uint64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	f := float64(n)
	for len(units) > 1 && f >= 1024 {
		f /= 1024
		units = units[1:]
	}
	if n < 1024 {
		return whole(n) + " B"
	}
	return fmt.Sprintf("%.1f %s", f, units[0])
}
