package main

import (
	"container/heap"
	"context"
	"net/url"
	"time"
)

// crawl is one pass over the hosts. All of its state belongs to the goroutine of
// run; requests have goroutines of their own and report on a channel.
type crawl struct {
	options
	fetcher *fetcher
	shown   *shown

	hosts map[string]*host
	seen  map[string]verdict
	// outside are pages by host and URL whose host is not crawled, or not yet.
	outside map[string]map[string]page
	// ready are the hosts that may be asked now, first come, first served; later
	// those whose delay must pass first.
	ready []*host
	later hostHeap

	// started and queued count pages, running requests.
	started, queued, running int
	interrupted              bool
	// results is never closed: run takes as many as it started.
	results chan result
	figures figures
}

// verdict is what was decided about an address that was seen.
type verdict uint8

const (
	queued verdict = iota + 1
	tooDeep
)

func newCrawl(o options, f *fetcher, s *shown) *crawl {
	return &crawl{
		options: o, fetcher: f, shown: s,
		hosts: map[string]*host{}, seen: map[string]verdict{}, outside: map[string]map[string]page{},
		results: make(chan result, o.concurrency),
		figures: figures{Failures: map[string]*failure{}},
	}
}

// run crawls until nothing is left or ctx ends. It returns when every request that
// it started has.
func (c *crawl) run(ctx context.Context) figures {
	begun := time.Now()
	for _, u := range c.start {
		c.give(u)
	}
	done := ctx.Done()
	for {
		wake := c.startRequests(ctx)
		if c.running == 0 && wake == nil {
			break
		}
		select {
		case r := <-c.results:
			c.running--
			c.settle(r)
		case <-wake:
		case <-done:
			c.interrupted, done = true, nil
		}
		c.show()
	}
	c.finish(time.Since(begun))
	return c.figures
}

// startRequests starts what limits allow. The channel tells when a host's delay is
// over; nil if that makes no difference now.
func (c *crawl) startRequests(ctx context.Context) <-chan time.Time {
	now := time.Now()
	for len(c.later) > 0 && !c.later[0].nextAt.After(now) {
		c.ready = append(c.ready, heap.Pop(&c.later).(*host))
	}
	for len(c.ready) > 0 && c.running < c.concurrency && !c.stopped() {
		h := c.ready[0]
		c.ready = c.ready[1:]
		h.planned = false
		req := h.take(now)
		if req.page != nil {
			c.started++
			c.queued--
		}
		c.running++
		go func() { c.results <- c.fetcher.fetch(ctx, req) }()
		c.plan(h)
	}
	if len(c.later) == 0 || c.stopped() {
		return nil
	}
	return time.After(time.Until(c.later[0].nextAt))
}

// stopped reports that no more requests are to be started.
func (c *crawl) stopped() bool {
	return c.interrupted || c.pages > 0 && c.started >= c.pages
}

// plan puts a host into the list where it belongs, if it can be asked something.
func (c *crawl) plan(h *host) {
	if h.planned || h.active >= c.perHost || !h.hasWork() {
		return
	}
	h.planned = true
	if h.nextAt.After(time.Now()) {
		heap.Push(&c.later, h)
	} else {
		c.ready = append(c.ready, h)
	}
}

// give adds a start page, and with it its host.
func (c *crawl) give(u *url.URL) {
	if c.hosts[u.Host] == nil {
		h := &host{name: u.Host, delay: c.delay, figures: hostFigures{Host: u.Host}}
		if !c.obeyRobots {
			h.rules = allowAll
		}
		c.hosts[u.Host] = h
	}
	c.add(page{url: u, start: true})
	for _, p := range c.outside[u.Host] {
		c.add(p)
	}
	delete(c.outside, u.Host)
}

// add queues a page unless it was seen or is not to be fetched.
func (c *crawl) add(p page) {
	key := p.url.String()
	h := c.hosts[p.url.Host]
	switch {
	case c.seen[key] == queued:
		return
	case h == nil:
		c.leaveOutside(key, p)
		return
	case c.depth > 0 && p.depth > c.depth:
		c.seen[key] = tooDeep // another way may be shorter
		return
	}
	c.seen[key] = queued
	if h.rules != nil && !h.rules.allows(p.url) {
		c.figures.Forbidden++
		return
	}
	h.queue = append(h.queue, p)
	c.queued++
	c.plan(h)
}

// leaveOutside remembers a page for the case that its host turns out to be crawled.
func (c *crawl) leaveOutside(key string, p page) {
	of := c.outside[p.url.Host]
	if of == nil {
		of = map[string]page{}
		c.outside[p.url.Host] = of
	}
	if before, ok := of[key]; !ok || p.depth < before.depth {
		of[key] = p
	}
}

// settle takes in what came of a request.
func (c *crawl) settle(r result) {
	h := r.host
	h.active--
	h.figures.Opened += r.opened
	h.figures.Avoided += r.avoided
	h.figures.Bytes += r.bytes
	c.figures.Bytes += r.bytes
	switch {
	case r.err != nil && c.interrupted:
		c.figures.Interrupted++
	case r.err != nil:
		h.figures.Failed++
		c.figures.fail(r)
	case r.page == nil:
		c.figures.Robots++
	default:
		h.figures.Pages++
		c.figures.Pages++
	}
	if r.page == nil {
		forbidden := h.obey(r.rules)
		c.figures.Forbidden += forbidden
		c.queued -= forbidden
	} else {
		c.follow(r)
	}
	c.plan(h)
}

// follow queues what a page leads to.
func (c *crawl) follow(r result) {
	if to := r.redirect; to != nil {
		if r.page.start && c.seen[to.String()] != queued {
			c.give(to)
		} else {
			c.add(page{url: to, depth: r.page.depth})
		}
	}
	for _, u := range r.links {
		c.add(page{url: u, depth: r.page.depth + 1})
	}
}

// finish counts what was not fetched.
func (c *crawl) finish(took time.Duration) {
	f := &c.figures
	f.Seconds = took.Seconds()
	f.Hosts = len(c.hosts)
	for _, v := range c.seen {
		if v == tooDeep {
			f.TooDeep++
		}
	}
	for _, of := range c.outside {
		f.Outside += len(of)
	}
	for _, h := range c.hosts {
		f.NotReached += len(h.queue)
		f.byHost = append(f.byHost, h.figures)
	}
}

// show lets the progress have the figures of this moment.
func (c *crawl) show() {
	c.shown.pages.Store(int64(c.figures.Pages))
	c.shown.failed.Store(int64(c.figures.Failed))
	c.shown.queued.Store(int64(c.queued))
	c.shown.running.Store(int64(c.running))
	c.shown.hosts.Store(int64(len(c.hosts)))
}
