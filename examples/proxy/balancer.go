package main

import (
	"net/http"
	"slices"
	"sync"
	"time"
)

// balancer is an http.RoundTripper that chooses the upstream, and another one when
// that is no use. It is safe for concurrent use.
type balancer struct {
	rt    http.RoundTripper
	least bool // choose the least loaded instead of the next
	log   *logger
	retry time.Duration // when to come back if the checks have all upstreams down

	// mu guards what follows, with what the upstreams hold. Nothing is sent and
	// nothing logged under it.
	mu   sync.Mutex
	all  []*upstream
	turn int // the index that is looked at first
}

func newBalancer(o options, rt http.RoundTripper, l *logger) *balancer {
	b := &balancer{rt: rt, least: o.balance == leastLoaded, log: l, retry: o.healthEvery}
	for _, u := range o.upstreams {
		b.all = append(b.all, &upstream{url: u})
	}
	return b
}

// pick chooses an upstream other than those tried, or returns nil. The caller must
// call release.
func (b *balancer) pick(tried []*upstream) *upstream {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	best := -1
	for i := range b.all {
		at := (b.turn + i) % len(b.all)
		u := b.all[at]
		if !u.available(now) || slices.Contains(tried, u) {
			continue
		}
		if best < 0 || b.least && u.running < b.all[best].running {
			best = at
		}
	}
	if best < 0 {
		return nil
	}
	b.turn = (best + 1) % len(b.all)
	b.all[best].begin(now)
	return b.all[best]
}

// release ends what pick began.
func (b *balancer) release(u *upstream, lost bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	u.running--
	if lost {
		u.lost++
	}
}

// hasOther reports whether there is an available upstream that is none of these.
func (b *balancer) hasOther(than ...*upstream) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	return slices.ContainsFunc(b.all, func(u *upstream) bool { return u.available(now) && !slices.Contains(than, u) })
}

// setAside leaves the upstream alone for a while. bad says that it has answered, so
// that being reachable does not make it good.
func (b *balancer) setAside(u *upstream, began time.Time, bad bool, why string) {
	b.mu.Lock()
	news := u.fail(began, time.Now(), bad, why)
	pause := u.pause()
	b.mu.Unlock()
	if news {
		b.log.printf("%s is set aside for %v: %s", u.url, pause, why)
	}
}

// connected notes that there is a connection to the upstream.
func (b *balancer) connected(u *upstream) {
	b.mu.Lock()
	back := !u.bad && u.recover()
	b.mu.Unlock()
	if back {
		b.log.printf("%s can be reached again", u.url)
	}
}

// answered notes that the upstream has given a good answer.
func (b *balancer) answered(u *upstream) {
	b.mu.Lock()
	back := u.recover()
	b.mu.Unlock()
	if back {
		b.log.printf("%s answers well again", u.url)
	}
}

// checked notes the outcome of a check.
func (b *balancer) checked(u *upstream, err error) {
	b.mu.Lock()
	was := u.down
	if err == nil {
		u.down, u.failedChecks = false, 0
		if !u.bad {
			u.recover() // the check needed a connection
		}
	} else if u.failedChecks++; u.failedChecks >= checksUntilDown {
		u.down, u.why = true, err.Error()
	}
	is := u.down
	b.mu.Unlock()
	switch {
	case is && !was:
		b.log.printf("%s is down: %v", u.url, err)
	case was && !is:
		b.log.printf("%s is up again", u.url)
	}
}

// retryAfter is how long it takes until an upstream may be tried again.
func (b *balancer) retryAfter() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	now, soonest := time.Now(), max(b.retry, time.Second)
	for _, u := range b.all {
		if !u.down {
			soonest = min(soonest, u.until.Sub(now))
		}
	}
	return max(soonest, 0)
}

// status says how the upstreams are.
func (b *balancer) status() []upstreamStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []upstreamStatus
	for _, u := range b.all {
		all = append(all, u.status(time.Now()))
	}
	return all
}

// ready reports whether a request would find an upstream.
func (b *balancer) ready() bool { return b.hasOther() }
