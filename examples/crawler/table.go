package main

import (
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
)

// row is one line of the table: what is counted and each client's figure.
type row struct {
	label string
	cell  func(outcome) string
}

const notMeasured = "n/a"

var rows = []row{
	{"pages fetched", func(o outcome) string { return grouped(o.Pages) }},
	{"  a second", func(o outcome) string { return grouped(int(float64(o.Pages) / max(o.Seconds, 1e-3))) }},
	{"  megabytes", func(o outcome) string { return strconv.FormatFloat(float64(o.Bytes)/1e6, 'f', 1, 64) }},
	{"robots.txt read", func(o outcome) string { return grouped(o.Robots) }},
	{"requests failed", func(o outcome) string { return grouped(o.Failed) }},
	{"  retries", func(o outcome) string {
		if o.Stats == nil {
			return notMeasured
		}
		return grouped(o.Stats.Retries)
	}},
	{"connections opened", func(o outcome) string {
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

// counted is the sites' figure if there is one, or else the client's own.
func (o outcome) counted(sites func(*truth) int, own func() uint64) string {
	switch {
	case o.Truth != nil:
		return grouped(sites(o.Truth))
	case o.Stats != nil:
		return grouped(own())
	}
	return notMeasured
}

func (o outcome) timeWaits() string {
	switch {
	case o.Truth != nil && o.Truth.TimeWaits != nil:
		return grouped(*o.Truth.TimeWaits)
	case o.Truth == nil && o.Stats != nil && runtime.GOOS == "linux":
		return grouped(o.Stats.TimeWaits)
	}
	return notMeasured
}

// writeTable writes the summary for a person to read.
func (r *report) writeTable(w io.Writer) error {
	var b strings.Builder
	for _, o := range r.crawls {
		fmt.Fprintf(&b, "\n%s: %s in %.1f s", o.Name, plural(o.Hosts, "host"), o.Seconds)
	}
	const labels, cells = 28, 11
	fmt.Fprintf(&b, "\n\n%-*s", labels, "")
	for _, o := range r.crawls {
		fmt.Fprintf(&b, "%*s", cells, o.Name)
	}
	for _, row := range rows {
		fmt.Fprintf(&b, "\n%-*s", labels, row.label)
		for _, o := range r.crawls {
			fmt.Fprintf(&b, "%*s", cells, row.cell(o))
		}
	}
	b.WriteString("\n")
	if len(r.crawls) > 0 {
		r.crawls[len(r.crawls)-1].writeRest(&b)
	}
	for _, s := range r.notes() {
		fmt.Fprintln(&b, s)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeRest writes what is not compared: failures, what was left out, hosts and
// sources.
func (o outcome) writeRest(b *strings.Builder) {
	if kinds := o.kinds(); len(kinds) > 0 {
		b.WriteString("\nfailures\n")
		for _, k := range kinds {
			fmt.Fprintf(b, "%9s  %-26s %s\n", grouped(o.Failures[k].Count), k, visible(o.Failures[k].First))
		}
	}
	o.writeLeftOut(b)
	if len(o.Top) > 0 {
		fmt.Fprintf(b, "\n%-36s%9s%9s%9s%9s%9s\n", "hosts with the most pages", "pages", "failed", "opened", "avoided", "kB")
		for _, h := range o.Top {
			fmt.Fprintf(b, "%-36s%9s%9s%9s%9s%9s\n", h.Host, grouped(h.Pages), grouped(h.Failed), grouped(h.Opened), grouped(h.Avoided), grouped(h.Bytes/1000))
		}
	}
	if len(o.Sources) > 0 {
		fmt.Fprintf(b, "\n%-36s%9s%11s\n", "sources", "open", "TIME_WAIT")
		for _, s := range o.Sources {
			fmt.Fprintf(b, "%-36s%9s%11s\n", s.Address, grouped(s.Open), grouped(s.TimeWait))
		}
	}
}

func (o outcome) writeLeftOut(b *strings.Builder) {
	title := "\nnot fetched\n"
	for _, l := range []struct {
		n   int
		why string
	}{
		{o.Forbidden, "robots.txt forbids it, or could not be read"},
		{o.Outside, "on hosts that are not crawled"},
		{o.TooDeep, "farther from a start page than -depth"},
		{o.NotReached, "left over when the crawl ended"},
		{o.Interrupted, "interrupted halfway"},
	} {
		if l.n > 0 {
			fmt.Fprintf(b, "%s%9s  %s\n", title, grouped(l.n), l.why)
			title = ""
		}
	}
}

// notes says what the words mean.
func (r *report) notes() []string {
	n := []string{"", "Closes avoided: answers on a connection that had already brought one."}
	if r.options.demo {
		n = append(n, "Connections and closes are counted by the sites, TIME_WAITs by the kernel.")
	} else {
		n = append(n, "TIME_WAITs are foreseen at the close, and an upper bound.")
	}
	if r.options.compare {
		n = append(n,
			"default is http.DefaultTransport, which keeps 2 idle connections for each host and 100",
			"in all. What stands below the columns is about stayopen.")
	}
	if r.interrupted {
		n = append(n, "Interrupted: this is what there was by then.")
	}
	return n
}

// visible keeps what others have written, such as a URL, from moving the cursor.
func visible(s string) string {
	q := strconv.QuoteToGraphic(s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}

func plural(n int, what string) string {
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
