package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/stayopen-go/stayopen/dialer/hostcheck"
)

// text is the report for a person to read.
func (r *report) text(o options, width, tableWidth int, paint painter) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", r.heading(paint))
	good := 0
	for _, f := range r.findings {
		if f.Severity == hostcheck.Good && !o.all {
			good++
			continue
		}
		writeFinding(&b, f, width, paint)
	}
	if good > 0 {
		fmt.Fprintf(&b, "%s\n\n", paint(green, plural(good, "setting is good", "settings are good")+" (-all shows them)."))
	}
	for _, line := range r.table(o.top, tableWidth, paint) {
		fmt.Fprintf(&b, "%s\n", line)
	}
	return b.String()
}

// heading says what was looked at, and when.
func (r *report) heading(paint painter) string {
	return paint(bold, fmt.Sprintf("%s %s, %s", r.settings.OS, clean(r.settings.Kernel), r.at.Format(time.DateTime)))
}

const indent = "         " // as wide as the longest severity and two spaces

func writeFinding(b *strings.Builder, f hostcheck.Finding, width int, paint painter) {
	fmt.Fprintf(b, "%s%s\n", badge(f.Severity, paint), paint(bold, title(f)))
	parts := []string{f.Effect, "Change: " + f.Change + "."}
	if f.Recipe != "" {
		parts = append(parts, fmt.Sprintf("Wrong recipe: %q: %s.", f.Recipe, f.Wrong))
	}
	for _, part := range parts {
		for _, line := range wrap(clean(part), width-len(indent)) {
			fmt.Fprintf(b, "%s%s\n", indent, line)
		}
	}
	b.WriteString("\n")
}

// title is what was found out about, on one line.
func title(f hostcheck.Finding) string {
	t := f.Set
	if f.Key != "sockets" && f.Key != "file" {
		t = f.Key + " = " + f.Set
	}
	switch {
	case f.File != "" && f.Line > 0:
		t += fmt.Sprintf("  (%s:%d)", f.File, f.Line)
	case f.File != "":
		t += fmt.Sprintf("  (%s)", f.File)
	}
	return clean(t)
}

func badge(s hostcheck.Severity, paint painter) string {
	return paint(colours[s], fmt.Sprintf("%-*s", len(indent), strings.ToUpper(s.String())))
}

var colours = map[hostcheck.Severity]style{
	hostcheck.Good: green, hostcheck.Note: cyan, hostcheck.Warning: yellow, hostcheck.Error: red,
}

// clean takes out what a terminal would obey: names and values may be from a
// file that somebody else wrote.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}

// wrap breaks a text between words into lines of at most that many characters,
// where words allow it.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len([]rune(line))+1+len([]rune(word)) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

func plural(n int, one, more string) string {
	if n == 1 {
		more = one
	}
	return grouped(n) + " " + more
}

// grouped writes n with a comma between thousands.
func grouped(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
