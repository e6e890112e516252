package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// progress shows how far a crawl is: one line that refreshes itself on a terminal,
// a line now and then elsewhere.
type progress struct {
	w        io.Writer
	terminal bool
}

func newProgress(w io.Writer, terminal bool) *progress {
	return &progress{w: w, terminal: terminal}
}

// shown is what a crawl lets be seen of itself while it runs.
type shown struct {
	pages, failed, queued, running, hosts atomic.Int64
}

// phase is the showing of one crawl.
type phase struct {
	*progress
	shown   *shown
	client  client
	started time.Time
	// stop is closed by end, stopped by the goroutine that prints.
	stop, stopped chan struct{}
}

const (
	refreshTerminal = 100 * time.Millisecond
	refreshPlain    = 2 * time.Second
)

// begin starts showing a crawl. The caller must call end.
func (p *progress) begin(c client, s *shown) *phase {
	ph := &phase{progress: p, shown: s, client: c, started: time.Now(), stop: make(chan struct{}), stopped: make(chan struct{})}
	go ph.show()
	return ph
}

// end prints the last line.
func (ph *phase) end() {
	close(ph.stop)
	<-ph.stopped
}

// show prints until the phase ends.
func (ph *phase) show() {
	defer close(ph.stopped)
	every := refreshPlain
	if ph.terminal {
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
	if ph.terminal {
		before = "\r\x1b[K"
	} else {
		end = "\n"
	}
	fmt.Fprint(ph.w, before, ph.line(), end)
}

// line fits into the 80 columns that every terminal has.
func (ph *phase) line() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-8s %6.1f s %8s pages %6s failed %8s queued %5s running", ph.client.name, time.Since(ph.started).Seconds(),
		grouped(ph.shown.pages.Load()), grouped(ph.shown.failed.Load()), grouped(ph.shown.queued.Load()), grouped(ph.shown.running.Load()))
	if ph.client.stats != nil {
		fmt.Fprintf(&b, " %5s open", grouped(int64(ph.client.stats().Open)))
	}
	return b.String()
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
