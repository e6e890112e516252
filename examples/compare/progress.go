package main

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"
)

// progress shows how far the load is: one line that refreshes itself on a
// terminal, a line now and then elsewhere.
type progress struct {
	w        io.Writer
	terminal bool
}

func newProgress(w io.Writer, terminal bool) *progress {
	return &progress{w: w, terminal: terminal}
}

// phase is one stretch of the load. Its done may be added to concurrently.
type phase struct {
	progress *progress
	label    string
	total    int
	done     atomic.Int64
	started  time.Time
	// stop is closed by end, stopped by the goroutine that prints.
	stop, stopped chan struct{}
}

const (
	refreshTerminal = 100 * time.Millisecond
	refreshPlain    = 2 * time.Second
)

// begin starts showing a phase. The caller must call end.
func (p *progress) begin(client, what string, total int) *phase {
	ph := &phase{
		progress: p,
		label:    fmt.Sprintf("%-8s  %-10s", client, what),
		total:    total,
		started:  time.Now(),
		stop:     make(chan struct{}),
		stopped:  make(chan struct{}),
	}
	go ph.show()
	return ph
}

// end prints the phase's last line.
func (ph *phase) end() {
	close(ph.stop)
	<-ph.stopped
}

// show prints until the phase ends.
func (ph *phase) show() {
	defer close(ph.stopped)
	every := refreshPlain
	if ph.progress.terminal {
		every = refreshTerminal
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			ph.print("")
		case <-ph.stop:
			ph.print("\n")
			return
		}
	}
}

func (ph *phase) print(end string) {
	before := ""
	if ph.progress.terminal {
		before = "\r\x1b[K"
	} else {
		end = "\n"
	}
	fmt.Fprintf(ph.progress.w, "%s%s  %7s of %s requests  %5.1f s%s", before, ph.label,
		grouped(int(ph.done.Load())), grouped(ph.total), time.Since(ph.started).Seconds(), end)
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
