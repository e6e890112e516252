package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// row is one line of a table.
type row struct {
	label string
	cell  func(outcome) string
}

var rows = []row{
	{"commands answered", func(o outcome) string { return grouped(o.done) }},
	{"  failed", func(o outcome) string { return grouped(o.failed) }},
	{"  a second", func(o outcome) string { return grouped(int(o.rate)) }},
	{"  each, µs", func(o outcome) string { return grouped(int(o.latency / time.Microsecond)) }},
	{"connections opened", func(o outcome) string { return grouped(o.opened) }},
	{"connections reused", func(o outcome) string { return grouped(o.reused) }},
	{"TIME_WAITs left here", func(o outcome) string {
		if o.timeWaits < 0 {
			return "n/a"
		}
		return grouped(o.timeWaits)
	}},
}

// print prints a table for each load, and returns the error of a command that
// failed, if one did.
func (o options) print(w io.Writer, results [][]outcome) (failed error) {
	for i, l := range o.loads() {
		fmt.Fprintf(w, "%s\n\n%24s", l.name, "")
		for c := range results[i] {
			fmt.Fprintf(w, "%12s", []string{"pooled", "dialed"}[c])
		}
		fmt.Fprintln(w)
		for _, r := range rows {
			fmt.Fprintf(w, "%-24s", r.label)
			for _, out := range results[i] {
				fmt.Fprintf(w, "%12s", r.cell(out))
				if failed == nil {
					failed = out.err
				}
			}
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprint(w, `Connections are counted by the server, TIME_WAITs by the kernel on this side.
dialed opens and closes one for each command. pooled keeps them open; those that it
closes in the end are not in the table.
`)
	return failed
}

// grouped writes n with a comma between thousands.
func grouped(n int) string {
	digits := fmt.Sprint(n)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}
