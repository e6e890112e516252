package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// logger writes lines to stderr, around a line that refreshes itself if there is a
// terminal. It is safe for concurrent use.
type logger struct {
	terminal bool

	// mu guards the rest, and keeps lines whole.
	mu      sync.Mutex
	w       io.Writer
	dirty   bool // the cursor is at the end of a line that will be overwritten
	next    time.Time
	skipped int
}

func newLogger(w io.Writer) *logger { return &logger{w: w, terminal: isTerminal(w)} }

// printf writes a line.
func (l *logger) printf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.printLocked(fmt.Sprintf(format, args...))
}

// errorf writes a line about one request, at most one a second: whoever can make
// requests fail must not fill the disk with it.
func (l *logger) errorf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if now.Before(l.next) {
		l.skipped++
		return
	}
	text := fmt.Sprintf(format, args...)
	if l.skipped > 0 {
		text += fmt.Sprintf(" (and %s before it)", plural(l.skipped, "other failure"))
	}
	l.next, l.skipped = now.Add(time.Second), 0
	l.printLocked(text)
}

// limited is where package log can write what is for errorf.
func (l *logger) limited() io.Writer { return limitedWriter{l} }

type limitedWriter struct{ *logger }

func (w limitedWriter) Write(p []byte) (int, error) {
	w.errorf("%s", strings.TrimSpace(string(p)))
	return len(p), nil
}

func (l *logger) printLocked(text string) {
	l.clearLocked()
	fmt.Fprintf(l.w, "proxy: %s\n", text)
}

// clearLocked takes the refreshing line away.
func (l *logger) clearLocked() {
	if l.dirty {
		fmt.Fprint(l.w, "\r\x1b[K")
		l.dirty = false
	}
}

// refresh shows a line that the next one overwrites, if there is a terminal, and
// else writes it like any other.
func (l *logger) refresh(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.terminal {
		fmt.Fprintln(l.w, line)
		return
	}
	l.clearLocked()
	fmt.Fprint(l.w, line)
	l.dirty = true
}

// keep leaves the refreshing line where it is.
func (l *logger) keep() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dirty {
		fmt.Fprintln(l.w)
		l.dirty = false
	}
}
