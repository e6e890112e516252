package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// load is what the demo's clients send, and what came of it.
type load struct {
	url      string
	requests int

	sent, failed atomic.Int64
	took         time.Duration

	// mu guards firstError.
	mu         sync.Mutex
	firstError error
}

// run sends the requests, so many at a time, and returns when all are answered, or,
// when ctx has ended, those that have begun.
func (l *load) run(ctx context.Context, clients int) {
	rt := &http.Transport{MaxIdleConnsPerHost: clients, DisableCompression: true}
	defer rt.CloseIdleConnections()
	start := time.Now()
	var working sync.WaitGroup
	var next atomic.Int64
	for range clients {
		working.Go(func() {
			for i := next.Add(1); i <= int64(l.requests) && ctx.Err() == nil; i = next.Add(1) {
				l.send(rt, int(i))
				think(ctx)
			}
		})
	}
	working.Wait()
	l.took = time.Since(start)
}

// think takes up to 10 ms. What runs at a time rises and falls with it, as it does
// with real clients.
func think(ctx context.Context) {
	select {
	case <-time.After(rand.N(10 * time.Millisecond)):
	case <-ctx.Done():
	}
}

// send sends the request with this number and checks the answer.
func (l *load) send(rt http.RoundTripper, i int) {
	e := &errands[i%len(errands)]
	l.sent.Add(1)
	if err := l.try(rt, e, i); err != nil {
		l.failed.Add(1)
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.firstError == nil {
			l.firstError = err
		}
	}
}

func (l *load) try(rt http.RoundTripper, e *errand, i int) error {
	body, want := e.request(i), e.answer(i)
	req, err := http.NewRequest(e.method, fmt.Sprintf("%s%s%d", l.url, e.prefix, i), body)
	if err != nil {
		return err
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s %s: %s", e.method, req.URL.Path, resp.Status)
	case string(got) != want:
		return fmt.Errorf("%s %s: got %d bytes, want %d others", e.method, req.URL.Path, len(got), len(want))
	}
	return nil
}

// first is the first failure, empty if there was none.
func (l *load) first() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.firstError == nil {
		return ""
	}
	return l.firstError.Error()
}
