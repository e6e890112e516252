package main

import (
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
)

// row is one line of the table: what is counted and each run's figure.
type row struct {
	label string
	cell  func(outcome) string
}

const notMeasured = "n/a"

var rows = []row{
	{"requests", func(o outcome) string { return grouped(o.Requests) }},
	{"  a second", func(o outcome) string { return grouped(int(float64(o.Requests) / max(o.Seconds, 1e-3))) }},
	{"  failed", func(o outcome) string { return grouped(o.Failed) }},
	{"  given up by their clients", func(o outcome) string { return grouped(o.Gone) }},
	{"  cut off at the end", func(o outcome) string { return grouped(o.Cut) }},
	{"  sent to another upstream", func(o outcome) string { return grouped(o.Repeated) }},
	{"  upgraded", func(o outcome) string { return grouped(o.Upgraded) }},
	{"health checks", func(o outcome) string { return grouped(o.Checks) }},
	{"connections from clients", func(o outcome) string { return grouped(o.Accepted) }},
	{"connections to upstreams", func(o outcome) string {
		return o.counted(func(t *truth) int { return t.Opened }, func() uint64 { return o.Stats.Opened })
	}},
	{"  closed while it ran", func(o outcome) string {
		return o.counted(func(t *truth) int { return t.Closed }, func() uint64 { return o.Stats.Closed })
	}},
	{"closes avoided", func(o outcome) string {
		return o.counted(func(t *truth) int { return t.Avoided }, func() uint64 { return o.Stats.ClosesAvoided })
	}},
	{"TIME_WAITs on this side", outcome.timeWaits},
}

// counted is the demo's figure if there is one, or else the client's own.
func (o outcome) counted(demo func(*truth) int, own func() uint64) string {
	switch {
	case o.Demo != nil:
		return grouped(demo(o.Demo))
	case o.Stats != nil:
		return grouped(own())
	}
	return notMeasured
}

func (o outcome) timeWaits() string {
	switch {
	case o.Demo != nil && o.Demo.TimeWaits != nil:
		return grouped(*o.Demo.TimeWaits)
	case o.Demo == nil && o.Stats != nil && runtime.GOOS == "linux":
		return grouped(o.Stats.TimeWaits)
	}
	return notMeasured
}

// writeTable writes the summary for a person to read.
func (r *report) writeTable(w io.Writer) error {
	const labels, cells = 30, 11
	var b strings.Builder
	for _, o := range r.runs {
		fmt.Fprintf(&b, "\n%s: %s, %.1f s", o.Name, plural(len(o.Upstreams), "upstream"), o.Seconds)
	}
	fmt.Fprintf(&b, "\n\n%-*s", labels, "")
	for _, o := range r.runs {
		fmt.Fprintf(&b, "%*s", cells, o.Name)
	}
	for _, row := range rows {
		fmt.Fprintf(&b, "\n%-*s", labels, row.label)
		for _, o := range r.runs {
			fmt.Fprintf(&b, "%*s", cells, row.cell(o))
		}
	}
	b.WriteString("\n")
	if len(r.runs) > 0 {
		r.runs[len(r.runs)-1].writeUpstreams(&b)
	}
	for _, s := range r.notes() {
		fmt.Fprintln(&b, s)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (o outcome) writeUpstreams(b *strings.Builder) {
	fmt.Fprintf(b, "\n%-44s%11s%9s  %s\n", "upstreams", "requests", "lost", "state")
	for _, u := range o.Upstreams {
		fmt.Fprintf(b, "%-44s%11s%9s  %s\n", u.URL, grouped(u.Sent), grouped(u.Lost), u.State)
	}
}

// notes says what the words mean.
func (r *report) notes() []string {
	n := []string{"", "Closes avoided: answers on a connection that had already brought one."}
	if r.options.demo {
		n = append(n, "Connections and closes are counted by the upstreams, TIME_WAITs by the kernel.")
	} else {
		n = append(n, "TIME_WAITs are foreseen at the close, and an upper bound.")
	}
	if r.options.compare {
		n = append(n,
			"default is http.DefaultTransport, which keeps 2 idle connections for each upstream.",
			"What stands below the columns is about stayopen.")
	}
	if r.interrupted {
		n = append(n, "Interrupted: this is what there was by then.")
	}
	return n
}

// visible keeps what others have written, such as a path, from moving the cursor.
func visible(s string) string {
	q := strconv.QuoteToGraphic(s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}

func plural[N int | int64](n N, what string) string {
	if n != 1 {
		what += "s"
	}
	return grouped(n) + " " + what
}

// grouped writes n with a comma between thousands.
func grouped[N int | int64 | uint64](n N) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
