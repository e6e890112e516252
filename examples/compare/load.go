package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// requestTimeout is http.Client.Timeout for every client: most programs set
// one.
const requestTimeout = 10 * time.Second

// maxInFlight bounds what a server that stopped answering can make the
// steady mix pile up. The server on loopback never comes near it.
const maxInFlight = 1000

// load sends requests through one client and collects what became of them.
type load struct {
	// get sends one GET and reads its answer to the end.
	get      func(ctx context.Context, url string) error
	origins  []string
	progress *phase
	results
}

// results is what became of the requests of one phase.
type results struct {
	mu sync.Mutex
	// latencies has one entry for every request answered, from the moment it
	// was due to the end of its body.
	latencies []time.Duration
	failures  int
	// firstError is one of the failures, to show.
	firstError error
	// cpu is what this process used in the meantime.
	cpu      time.Duration
	cpuKnown bool
}

func (r *results) requests() int { return len(r.latencies) + r.failures }

// getter returns a function that sends a GET through rt, watched by s. An
// answer with a status of 400 or more is an error. Redirects are not
// followed, so that every client sends the same number of requests.
func getter(rt http.RoundTripper, s site) func(context.Context, string) error {
	client := &http.Client{
		Transport:     rt,
		Timeout:       requestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context, url string) error {
		req, err := http.NewRequestWithContext(s.watch(ctx), http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			return err
		}
		if resp.StatusCode >= http.StatusBadRequest {
			return fmt.Errorf("%s answered %s", url, resp.Status)
		}
		return nil
	}
}

// one sends a request that was due at the given moment. A request that fails
// because ctx ended counts as never sent.
func (l *load) one(ctx context.Context, url string, due time.Time) {
	err := l.get(ctx, url)
	took := time.Since(due)
	if err != nil && ctx.Err() != nil {
		return
	}
	l.mu.Lock()
	if err == nil {
		l.latencies = append(l.latencies, took)
	} else {
		l.failures++
		l.firstError = err
	}
	l.mu.Unlock()
	l.progress.done.Add(1)
}

// bursts sends the bursts of p to the first origin, each a pause after the
// last answer of the one before, until ctx ends.
func (l *load) bursts(ctx context.Context, p plan) {
	for i := range p.bursts {
		if i > 0 && !sleep(ctx, p.pause) || ctx.Err() != nil {
			return
		}
		var burst sync.WaitGroup
		due := time.Now()
		for range p.burstSize {
			burst.Go(func() { l.one(ctx, l.origins[0], due) })
		}
		burst.Wait()
	}
}

// mix sends the steady mix of p, each request when it is due, until ctx
// ends, and returns after the last answer.
func (l *load) mix(ctx context.Context, p plan) {
	var flying sync.WaitGroup
	defer flying.Wait()
	slots := make(chan struct{}, maxInFlight)
	start := time.Now()
	for _, a := range p.mix {
		// Not the moment it was sent: when the client falls behind, its
		// latencies must say so.
		due := start.Add(a.due)
		if !sleep(ctx, time.Until(due)) {
			return
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		flying.Go(func() {
			defer func() { <-slots }()
			l.one(ctx, l.origins[a.origin], due)
		})
	}
}

// sleep waits for d and reports whether ctx was still running then.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
