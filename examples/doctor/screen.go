package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// screen is where reports are shown: a terminal, or something that reads text.
type screen struct {
	w        io.Writer
	terminal bool
	paint    painter
	// begun says that the cursor is hidden.
	begun bool
	shown int
}

func newScreen(w io.Writer) *screen {
	return &screen{w: w, terminal: isTerminal(w), paint: newPainter(wantsColour(w))}
}

const (
	usualWidth  = 80
	unlimited   = 1 << 20
	readable    = 100 // longer lines of text are hard to read
	hideCursor  = "\x1b[?25l"
	showCursor  = "\x1b[?25h"
	clearScreen = "\x1b[2J"
	home        = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// show prints a report once.
func (s *screen) show(o options, r *report) error {
	if o.json {
		return r.writeJSON(s.w, o.top, o.watch != 0)
	}
	width, tableWidth := usualWidth, unlimited
	if _, columns, ok := size(s.w); ok {
		width, tableWidth = min(columns, readable), columns
	}
	_, err := io.WriteString(s.w, r.text(o, width, tableWidth, s.paint))
	return err
}

// refresh puts a report in the place of the last one. Where that is not
// possible it comes after it.
func (s *screen) refresh(o options, r *report) error {
	if o.json || !s.terminal {
		if s.shown++; s.shown > 1 && !o.json {
			fmt.Fprintln(s.w)
		}
		return s.show(o, r)
	}
	rows, columns, ok := size(s.w)
	if !ok {
		rows, columns = 24, usualWidth
	}
	var b strings.Builder
	if !s.begun {
		s.begun = true
		b.WriteString(hideCursor + clearScreen)
	}
	b.WriteString(home)
	for _, line := range fit(r.lines(o, columns, s.paint), rows-1) {
		b.WriteString(clip(line, columns) + clearLine + "\r\n")
	}
	b.WriteString(clearBelow)
	_, err := io.WriteString(s.w, b.String())
	return err
}

// leave gives the terminal back as it was, with the last report on it.
func (s *screen) leave() {
	if s.begun {
		io.WriteString(s.w, showCursor)
	}
}

// lines is the report for watching: the table, and each finding on one line.
func (r *report) lines(o options, width int, paint painter) []string {
	lines := []string{fmt.Sprintf("%s, every %v; Ctrl-C ends", r.heading(paint), o.watch), ""}
	lines = append(lines, r.table(o.top, width, paint)...)
	lines = append(lines, "")
	for _, f := range r.findings {
		if f.Severity > 0 || o.all {
			lines = append(lines, badge(f.Severity, paint)+title(f))
		}
	}
	return lines
}

// fit leaves out what does not fit, and says so.
func fit(lines []string, rows int) []string {
	if len(lines) <= rows || rows < 1 {
		return lines
	}
	return append(lines[:rows-1:rows-1], fmt.Sprintf("and %d more lines", len(lines)-rows+1))
}

// clip cuts a line to so many characters. Colours have no width, and end with
// the line.
func clip(line string, width int) string {
	var b strings.Builder
	escape := false
	for _, r := range line {
		switch {
		case r == '\x1b':
			escape = true
		case escape:
			escape = r != 'm'
		case width == 0:
			continue
		default:
			width--
		}
		b.WriteRune(r)
	}
	return b.String()
}

type style string

const (
	bold   style = "\x1b[1m"
	red    style = "\x1b[1;31m"
	green  style = "\x1b[32m"
	yellow style = "\x1b[33m"
	cyan   style = "\x1b[36m"
)

// painter colours a text, or does not.
type painter func(style, string) string

func newPainter(colour bool) painter {
	if !colour {
		return func(_ style, s string) string { return s }
	}
	return func(st style, s string) string { return string(st) + s + "\x1b[0m" }
}

// isTerminal reports whether w is a character device.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// wantsColour follows https://no-color.org.
func wantsColour(w io.Writer) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(w)
}
