package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// checker asks the upstreams for a path, again and again.
type checker struct {
	balancer *balancer
	path     *url.URL
	every    time.Duration
	checks   atomic.Int64
}

// leastForCheck is the time that each check has in any case. However often it is
// asked, an upstream on a busy host is not down for being slow.
const leastForCheck = 2 * time.Second

// run checks all upstreams until ctx ends, and returns when no check is running.
func (c *checker) run(ctx context.Context) {
	var each sync.WaitGroup
	for _, u := range c.balancer.all {
		each.Go(func() { c.watch(ctx, u) })
	}
	each.Wait()
}

func (c *checker) watch(ctx context.Context, u *upstream) {
	tick := time.NewTicker(c.every)
	defer tick.Stop()
	for {
		if err := c.check(ctx, u); ctx.Err() == nil {
			c.balancer.checked(u, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// check asks once. It takes the same ways as requests do, so that it finds what
// they would find, and costs no connection of its own.
func (c *checker) check(ctx context.Context, u *upstream) error {
	ctx, cancel := context.WithTimeout(ctx, max(c.every, leastForCheck))
	defer cancel()
	req := (&http.Request{
		Method: http.MethodGet,
		URL:    c.path,
		Header: http.Header{"User-Agent": {"stayopen-proxy-health"}},
	}).WithContext(ctx)
	c.checks.Add(1)
	resp, err := c.balancer.rt.RoundTrip(u.address(req))
	if err != nil {
		return fmt.Errorf("check: %w", err)
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	if resp.StatusCode < 200 || resp.StatusCode > 399 {
		return fmt.Errorf("check: it answered %s", resp.Status)
	}
	return nil
}
