package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// report is the outcome of all modes.
type report struct {
	options     options
	modes       []figures
	interrupted bool
}

// row is one line of the table.
type row struct {
	label string
	cell  func(figures) string
}

var rows = []row{
	{"requests", func(f figures) string { return grouped(f.Requests) }},
	{"  with a connection of their own", func(f figures) string { return grouped(f.Alone) }},
	{"  failed", func(f figures) string { return grouped(f.Failed) }},
	{"  answered after 0.9 s or more", func(f figures) string { return grouped(f.Slow) }},
	{"connections opened by clients", func(f figures) string { return grouped(f.Connections) }},
	{"  accepted by servers", func(f figures) string { return grouped(int64(f.Accepted)) }},
	{"restarts", func(f figures) string { return grouped(int64(f.Restarts)) }},
	{"time, s", func(f figures) string { return strconv.FormatFloat(f.Seconds, 'f', 1, 64) }},
}

// writeTable writes the report for a person to read.
func (r report) writeTable(w io.Writer) error {
	const labels, cells = 34, 11
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s under %s\n\n%-*s", plural(r.options.restarts, "restart"), plural(r.options.workers, "worker"), labels, "")
	for _, f := range r.modes {
		fmt.Fprintf(&b, "%*s", cells, f.Mode)
	}
	b.WriteString("\n")
	for _, row := range rows {
		fmt.Fprintf(&b, "%-*s", labels, row.label)
		for _, f := range r.modes {
			fmt.Fprintf(&b, "%*s", cells, row.cell(f))
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
	for _, s := range r.notes() {
		fmt.Fprintln(&b, s)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// notes says what the words mean, and what went wrong.
func (r report) notes() []string {
	n := []string{
		"handover: the successor is given the listening socket. drain: it opens its own by",
		"SO_REUSEPORT, and the old one is drained. close: the old one is only shut down.",
		"Failed: no whole answer. A request with a connection of its own is never repeated;",
		"one on a kept connection that its server has closed is, by net/http. Answers after",
		"0.9 s or more: the client was turned away once and asked again, a second later.",
	}
	for _, f := range r.modes {
		if f.FirstError != "" {
			n = append(n, fmt.Sprintf("%s, failed for one: %s", f.Mode, f.FirstError))
		}
	}
	if r.interrupted {
		n = append(n, "Interrupted: there were fewer restarts than asked for.")
	}
	return n
}

// writeJSON writes the report for a program to read.
func (r report) writeJSON(w io.Writer) error {
	modes := r.modes
	if modes == nil {
		modes = []figures{}
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(struct {
		Workers     int       `json:"workers"`
		Interrupted bool      `json:"interrupted"`
		Modes       []figures `json:"modes"`
	}{r.options.workers, r.interrupted, modes})
}

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return grouped(int64(n)) + " " + what
}

// grouped writes n with a comma between thousands.
func grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
