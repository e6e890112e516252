package gosuite

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// A List is what LEFTOUT.md says.
type List struct {
	Differences []Difference

	Version string    // the Go version whose tests LeftOut is about, such as "go1.26.8"
	LeftOut []LeftOut // in the order of their files and names
}

// A Difference is a test that passes over net/http and is known not to pass
// over stayopen, with the reason.
type Difference struct {
	Package string // import path
	Name    string // of the test; "TestX" stands for all of its modes, "TestX/h2" for one
	Go      string // the Go version it is true for, such as "1.26", or "any"
	Why     string

	// Sometimes says that it passes now and then. In the file the reason then
	// begins with "sometimes: ".
	Sometimes bool
}

// Difference finds the one that is about the case, when run with the Go version
// given, such as "go1.26.8". It is nil if there is none.
func (l *List) Difference(c *Case, version string) *Difference {
	for i, d := range l.Differences {
		about := d.Package == c.Package && (d.Name == c.Test || d.Name == c.Name())
		when := d.Go == "any" || version == "go"+d.Go || strings.HasPrefix(version, "go"+d.Go+".")
		if about && when {
			return &l.Differences[i]
		}
	}
	return nil
}

// What is between these two lines of the file is written by the tests, not by
// hand.
const (
	beginGenerated = "<!-- begin generated for %s -->"
	endGenerated   = "<!-- end generated -->"
)

var generatedFor = regexp.MustCompile(`(?m)^<!-- begin generated for (\S+) -->$`)

// ReadList reads a list from a Markdown file: differences from the rows of
// tables that have four columns, the second of which names a test, and what is
// left out from the rows with three.
func ReadList(file string) (*List, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("gosuite: %w", err)
	}
	l := new(List)
	if m := generatedFor.FindSubmatch(text); m != nil {
		l.Version = string(m[1])
	}
	for i, line := range strings.Split(string(text), "\n") {
		cells := row(line)
		if len(cells) < 3 || !strings.HasPrefix(cells[1], "Test") || cells[1] == "Test" {
			continue // not a row, or a table's head
		}
		switch why := cells[len(cells)-1]; {
		case why == "":
			return nil, fmt.Errorf("gosuite: %s:%d: %s is left out without a reason", file, i+1, cells[1])
		case len(cells) == 3:
			l.LeftOut = append(l.LeftOut, LeftOut{cells[0], cells[1], why})
		case len(cells) == 4:
			sometimes := strings.HasPrefix(why, "sometimes: ")
			l.Differences = append(l.Differences, Difference{cells[0], cells[1], cells[2], why, sometimes})
		default:
			return nil, fmt.Errorf("gosuite: %s:%d: a row with %d columns", file, i+1, len(cells))
		}
	}
	return l, nil
}

// row cuts a line of a table into its cells; other lines have none.
func row(line string) []string {
	inner, ok := strings.CutPrefix(strings.TrimSpace(line), "|")
	if !ok {
		return nil
	}
	cells := strings.Split(strings.TrimSuffix(inner, "|"), "|")
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	return cells
}

// WriteLeftOut replaces the generated part of a list's file.
func WriteLeftOut(file, version string, list []LeftOut) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("gosuite: %w", err)
	}
	begin := generatedFor.FindIndex(text)
	end := strings.Index(string(text), endGenerated)
	if begin == nil || end < begin[0] {
		return fmt.Errorf("gosuite: %s has no generated part", file)
	}
	var b strings.Builder
	b.Write(text[:begin[0]])
	fmt.Fprintf(&b, beginGenerated+"\n\n| File | Test | Why |\n|---|---|---|\n", version)
	for _, l := range list {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", l.File, l.Test, l.Why)
	}
	b.WriteString("\n")
	b.Write(text[end:])
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("gosuite: %w", err)
	}
	return nil
}
