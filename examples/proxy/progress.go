package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

const (
	refreshTerminal = 200 * time.Millisecond
	refreshPlain    = 2 * time.Second
)

// show shows how the server is doing until ctx ends: in one line that refreshes
// itself on a terminal, and elsewhere, during the demo only, in one now and then.
func (s *server) show(ctx context.Context) {
	if !s.log.terminal && !s.options.demo {
		return
	}
	every := refreshPlain
	if s.log.terminal {
		every = refreshTerminal
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.log.refresh(s.line())
		case <-ctx.Done():
			s.log.refresh(s.line())
			s.log.keep()
			return
		}
	}
}

// line fits into the 80 columns that every terminal has.
func (s *server) line() string {
	up, n := 0, s.proxy.requests.counts()
	for _, u := range s.balancer.status() {
		if u.State == "up" {
			up++
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-8s %6.0fs %11s requests %5s failed %5s now %d/%d up", s.client.name, time.Since(s.started).Seconds(),
		grouped(n.Requests), grouped(n.Failed), grouped(n.Running), up, len(s.options.upstreams))
	if s.client.stats != nil {
		fmt.Fprintf(&b, " %5s open", grouped(s.client.stats().Open))
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
