package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// caller is how one service is called: by so many at a time, each with a pause
// after every answer.
type caller struct {
	url     string
	workers int
	pause   time.Duration
}

var callers = []caller{
	{"http://api.internal/v1/items", 12, 20 * time.Millisecond},
	{"http://search.internal/q", 32, 150 * time.Millisecond}, // more than may have a connection
	{"https://example.com/token", 8, 60 * time.Millisecond},
	{"http://images.internal/p.jpg", 6, 90 * time.Millisecond},
	{"http://billing.internal/charge", 4, 80 * time.Millisecond},
	{"http://sessions.internal/s", 3, 500 * time.Millisecond},
	{"http://mail.internal/send", 2, 150 * time.Millisecond},
	{"http://legacy.internal/soap", 1, 250 * time.Millisecond},
	{"http://" + gone + "/daily", 1, 4 * time.Second},
}

// startLoad keeps the transports busy until ctx ends; then what it returns is
// done soon.
func startLoad(ctx context.Context, services, crawler http.RoundTripper, hosts int) *sync.WaitGroup {
	var work sync.WaitGroup
	for _, c := range callers {
		for range c.workers {
			work.Go(func() { c.call(ctx, services) })
		}
	}
	for range 8 {
		work.Go(func() { visit(ctx, crawler, hosts) })
	}
	return &work
}

// call calls the service again and again. Load comes and goes with the minute.
func (c caller) call(ctx context.Context, rt http.RoundTripper) {
	for rest(ctx, rand.N(c.pause)) {
		get(ctx, rt, c.url)
		tide := 1 + 0.6*math.Sin(2*math.Pi*float64(time.Now().UnixMilli()%60_000)/60_000)
		if !rest(ctx, time.Duration(float64(c.pause)*tide)) {
			return
		}
	}
}

// visit fetches some pages of one host after the other.
func visit(ctx context.Context, rt http.RoundTripper, hosts int) {
	for ctx.Err() == nil {
		host := rand.IntN(1 + rand.IntN(hosts)) // the first ones more often
		for range 1 + rand.IntN(6) {
			get(ctx, rt, fmt.Sprintf("http://www.site-%03d.example/", host))
			if !rest(ctx, rand.N(60*time.Millisecond)) {
				return
			}
		}
	}
}

// get fetches the URL and throws the answer away; a failure is for the page to
// show. One request of 200 is given up in the middle.
func get(ctx context.Context, rt http.RoundTripper, url string) {
	patience := 5 * time.Second
	if rand.IntN(200) == 0 {
		patience = 4 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		panic(err)
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
}

// rest waits. It returns false if ctx ends.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
