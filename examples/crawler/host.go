package main

import (
	"net/url"
	"time"
)

// page is a URL to fetch.
type page struct {
	url *url.URL
	// depth is the number of links from a start page to here.
	depth int
	// start says that this page was given, or that such a page redirected here.
	start bool
}

// host is one of those that are crawled, with what is to be fetched from it.
type host struct {
	name  string
	queue []page
	// rules are nil until robots.txt has been read; asked says that it is on its way.
	rules *robots
	asked bool
	// active requests are under way.
	active int
	// delay is the least time between two starts, nextAt when the next may be.
	delay  time.Duration
	nextAt time.Time
	// planned says that the host stands in one of the crawl's lists.
	planned bool
	figures hostFigures
}

// hostFigures is what came of one host.
type hostFigures struct {
	Host   string `json:"host"`
	Pages  int    `json:"pages"`
	Failed int    `json:"failed"`
	// Opened are connections that carried their first request, Avoided answers on
	// one that had already brought one: each is a close that did not happen.
	Opened  int   `json:"opened"`
	Avoided int   `json:"closesAvoided"`
	Bytes   int64 `json:"bytes"`
}

// hasWork reports whether there is a request to start, but for limits and time.
func (h *host) hasWork() bool {
	if h.rules == nil {
		return !h.asked && len(h.queue) > 0
	}
	return len(h.queue) > 0
}

// take returns the request to make next, and counts it as active.
func (h *host) take(now time.Time) request {
	h.active++
	h.nextAt = now.Add(h.delay)
	p := h.queue[0]
	if h.rules == nil {
		h.asked = true
		return request{host: h, url: p.url.ResolveReference(&url.URL{Path: "/robots.txt"})}
	}
	h.queue = h.queue[1:]
	return request{host: h, url: p.url, page: &p}
}

// obey applies the rules to what is queued, and returns how many pages they forbid.
func (h *host) obey(rules *robots) (forbidden int) {
	h.rules = rules
	if rules.delay > h.delay {
		// Reading robots.txt was a request as well.
		h.nextAt = h.nextAt.Add(rules.delay - h.delay)
		h.delay = rules.delay
	}
	kept := h.queue[:0]
	for _, p := range h.queue {
		if rules.allows(p.url) {
			kept = append(kept, p)
		}
	}
	forbidden = len(h.queue) - len(kept)
	h.queue = kept
	return forbidden
}

// hostHeap orders hosts by when they may be asked again. It is a heap.Interface.
type hostHeap []*host

func (q hostHeap) Len() int           { return len(q) }
func (q hostHeap) Less(i, j int) bool { return q[i].nextAt.Before(q[j].nextAt) }
func (q hostHeap) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

// Push adds a *host.
func (q *hostHeap) Push(x any) { *q = append(*q, x.(*host)) }

// Pop removes the last one.
func (q *hostHeap) Pop() any {
	last := len(*q) - 1
	h := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return h
}
