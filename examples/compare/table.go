package main

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// row is one line of the table: what is measured and each client's figure.
type row struct {
	label string
	cell  func(figures) string
	// goal marks the rows whose zero is what stayopen is for.
	goal bool
}

var rows = []row{
	{label: "requests", cell: func(f figures) string { return grouped(f.Requests) }},
	{label: "  failed", cell: func(f figures) string { return grouped(f.Errors) }},
	{label: "connections opened", cell: func(f figures) string { return number(f.Opened) }},
	{label: "  of these in the bursts", cell: func(f figures) string { return number(f.OpenedBursts) }},
	{label: "connections closed by us", cell: func(f figures) string { return number(f.Closed) }},
	{label: "closes avoided", cell: func(f figures) string { return number(f.ClosesAvoided) }},
	{label: "TIME_WAIT, our side", cell: func(f figures) string { return number(f.TimeWait) }, goal: true},
	{label: "  of these after the bursts", cell: func(f figures) string { return number(f.TimeWaitBursts) }, goal: true},
	{label: "  added by Close()", cell: func(f figures) string { return number(f.TimeWaitAfterClose) }},
	{label: "TIME_WAIT, server's side", cell: func(f figures) string { return number(f.ServerTimeWait) }},
	{label: "  added by Close()", cell: func(f figures) string { return number(f.ServerTimeWaitAfterClose) }},
	{label: "CPU per request, µs", cell: func(f figures) string { return decimal(f.CPUMicros) }},
	{label: "p50 in the bursts, ms", cell: func(f figures) string { return decimal(f.P50Bursts) }},
	{label: "p99 in the bursts, ms", cell: func(f figures) string { return decimal(f.P99Bursts) }},
	{label: "p50 in the mix, ms", cell: func(f figures) string { return decimal(f.P50Mix) }},
	{label: "p99 in the mix, ms", cell: func(f figures) string { return decimal(f.P99Mix) }},
}

// writeTable writes the report for a person to read.
func (r report) writeTable(w io.Writer, colour bool) error {
	var b strings.Builder
	paint := painter(colour)
	fmt.Fprintf(&b, "\n%s\n\n", r.options.describe())
	r.writeRows(&b, paint)
	b.WriteString("\n")
	for _, s := range r.summary() {
		fmt.Fprintf(&b, "%s\n", paint(bold, s))
	}
	for _, s := range r.notes() {
		fmt.Fprintf(&b, "%s\n", s)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r report) writeRows(b *strings.Builder, paint func(style, string) string) {
	const labels, cells = 28, 11
	fmt.Fprintf(b, "%-*s", labels, "")
	for _, f := range r.clients {
		b.WriteString(paint(bold, fmt.Sprintf("%*s", cells, f.Name)))
	}
	b.WriteString("\n")
	for _, row := range rows {
		fmt.Fprintf(b, "%-*s", labels, row.label)
		for _, f := range r.clients {
			cell := fmt.Sprintf("%*s", cells, row.cell(f))
			if row.goal && strings.TrimSpace(cell) == "0" {
				cell = paint(green, cell)
			}
			b.WriteString(cell)
		}
		b.WriteString("\n")
	}
}

func (o options) describe() string {
	where := "over " + plural(o.origins, "origin")
	if o.url != nil {
		where = "to " + o.url.Redacted()
	}
	return fmt.Sprintf("%s of %s (%v apart), then %s at %s/s %s", plural(o.bursts, "burst"),
		plural(o.burstSize, "request"), o.pause, plural(o.mixRequests(), "request"), grouped(o.rate), where)
}

// summary says in words what the first and the last client did, with the
// figures of this run.
func (r report) summary() []string {
	if len(r.clients) < 2 || r.interrupted {
		return nil
	}
	def, own := r.clients[0], r.clients[len(r.clients)-1]
	var s []string
	if def.OpenedBursts != nil && own.OpenedBursts != nil && r.options.bursts > 0 {
		s = append(s, fmt.Sprintf("In the bursts %s opened %s: %s for %s.", own.Name,
			share(*own.OpenedBursts, *def.OpenedBursts, def.Name), grouped(*own.OpenedBursts), plural(r.options.burstRequests(), "request")))
	}
	if def.TimeWait != nil && own.TimeWait != nil {
		s = append(s, fmt.Sprintf("%s left %s on our side while it ran, %s left %s.",
			own.Name, plural(*own.TimeWait, "TIME_WAIT"), def.Name, grouped(*def.TimeWait)))
	}
	return s
}

// share says how part compares with whole, the connections of another.
func share(part, whole int, other string) string {
	switch {
	case part <= 0 || whole <= 0:
		return fmt.Sprintf("%s where %s opened %s", plural(part, "connection"), other, grouped(whole))
	case part == whole:
		return fmt.Sprintf("as many connections as %s", other)
	case whole >= 2*part:
		return fmt.Sprintf("1/%.0f of the connections of %s", math.Round(float64(whole)/float64(part)), other)
	}
	return fmt.Sprintf("%.2f times the connections of %s", float64(part)/float64(whole), other)
}

// notes says what the names and counts mean, and what went wrong.
func (r report) notes() []string {
	n := []string{
		"",
		"default is http.DefaultTransport; tuned is a clone of it with MaxIdleConns 0 (no",
		fmt.Sprintf("limit) and MaxIdleConnsPerHost %d; all three under an http.Client with a Timeout.", tunedIdlePerHost),
	}
	if r.options.url == nil {
		n = append(n,
			"Connections and closes are counted by the server, a process of its own. Closed by",
			"us: our end came first, not counting Close(). Closes avoided: answers on a",
			"connection that had already brought one.")
	} else {
		n = append(n,
			"Connections opened are those that carried a request, as httptrace saw them. Closes",
			"avoided: answers on one that had already brought one. Who closed first, and the",
			"server's side, cannot be seen from here.")
	}
	if r.notMeasured == nil {
		n = append(n,
			"TIME_WAITs are the kernel's: rows of /proc/net/tcp with the server as remote end. On",
			"loopback Linux lets new connections take over the older ones, so there can be fewer",
			"than closes.")
	} else {
		n = append(n, "n/a: "+r.notMeasured.Error()+".")
	}
	for _, err := range r.firstErrors {
		n = append(n, "failed, for one: "+err.Error())
	}
	if r.interrupted {
		n = append(n, "Interrupted: the clients did not all get the whole load.")
	}
	return n
}

type style string

const (
	bold  style = "\x1b[1m"
	green style = "\x1b[32m"
)

func painter(colour bool) func(style, string) string {
	if !colour {
		return func(_ style, s string) string { return s }
	}
	return func(st style, s string) string { return string(st) + s + "\x1b[0m" }
}

const notMeasured = "n/a"

func number(n *int) string {
	if n == nil {
		return notMeasured
	}
	return grouped(*n)
}

func decimal(v *float64) string {
	if v == nil {
		return notMeasured
	}
	whole, fraction, _ := strings.Cut(strconv.FormatFloat(*v, 'f', 1, 64), ".")
	return group(whole) + "." + fraction
}

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return grouped(n) + " " + what
}

// grouped writes n with a comma between thousands.
func grouped(n int) string { return group(strconv.Itoa(n)) }

func group(digits string) string {
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
