package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// figures is what came of one mode.
type figures struct {
	Mode     mode `json:"mode"`
	Restarts int  `json:"restarts"`
	// Requests counts all, Alone those with a connection of their own.
	Requests int64 `json:"requests"`
	Alone    int64 `json:"requestsWithOwnConnection"`
	Failed   int64 `json:"failed"`
	// Slow are those whose answer took slowFrom or more.
	Slow int64 `json:"slow"`
	// Connections is what the clients saw established, Accepted what the servers
	// accepted of that.
	Connections int64   `json:"connections"`
	Accepted    uint64  `json:"accepted"`
	Seconds     float64 `json:"seconds"`
	FirstError  string  `json:"firstError,omitempty"`
}

// allowed is how many of the requests may fail.
func (f figures) allowed() int64 {
	switch f.Mode {
	case handover:
		return 0
	case drain:
		return f.Requests / 10_000
	}
	return f.Requests
}

// measure restarts a server under load. When ctx ends it returns what there is.
func measure(ctx context.Context, o options, m mode, stderr io.Writer) (f figures, err error) {
	c, err := startChain(m, stderr)
	if err != nil {
		return figures{}, err
	}
	working, rest := context.WithCancel(context.Background())
	l := &load{url: "http://" + c.current.Address + "/"}
	start := time.Now()
	l.start(working, o.workers)
	f.Restarts, err = restarts(ctx, o, c, m, stderr)
	rest()
	l.workers.Wait()
	f.Seconds = time.Since(start).Seconds()
	err = errors.Join(err, c.stop())
	f.Mode, f.Accepted = m, c.accepted
	f.Requests, f.Alone, f.Failed, f.Slow, f.Connections = l.requests.Load(), l.alone.Load(), l.failed.Load(), l.slow.Load(), l.connections.Load()
	if l.firstError != nil {
		f.FirstError = l.firstError.Error()
	}
	return f, err
}

// restarts restarts the server as often as the options say, and returns how often
// it did. The load runs for a pause before the first and after the last.
func restarts(ctx context.Context, o options, c *chain, m mode, stderr io.Writer) (int, error) {
	shown := time.Now()
	for i := 0; ; i++ {
		select {
		case <-time.After(o.every):
		case <-ctx.Done():
			return i, nil
		}
		if i == o.restarts {
			return i, nil
		}
		if err := c.restart(); err != nil {
			return i, err
		}
		if time.Since(shown) > 2*time.Second {
			shown = time.Now()
			fmt.Fprintf(stderr, "%-9s %d of %d restarts\n", m, i+1, o.restarts)
		}
	}
}
