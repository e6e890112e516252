package main

import (
	"net/url"
	"time"
)

// upstream is one of the servers behind the proxy. Apart from its URL, which never
// changes, its balancer's mutex guards it.
type upstream struct {
	url *url.URL

	running int    // requests that it has now, upgraded connections included
	sent    uint64 // requests that it was chosen for
	lost    uint64 // of these, how many it left without an answer

	down         bool // the checks say so
	failedChecks int  // in a row

	failures     int       // in a row: no connection, or an answer of 502
	bad          bool      // the last of them was an answer
	since, until time.Time // when that was, and when the pause after it ends

	why string // what is wrong; good while down or failures are set
}

const (
	firstPause = time.Second
	maxPause   = 30 * time.Second
	// A single failed check may be an accident, two in a row are none.
	checksUntilDown = 2
)

// available reports whether a request may be sent to it.
func (u *upstream) available(now time.Time) bool { return !u.down && !now.Before(u.until) }

// pause is how long it is left alone after its last failure.
func (u *upstream) pause() time.Duration {
	return min(firstPause<<min(u.failures-1, 10), maxPause)
}

// begin notes that it was chosen. After a pause one request at a time finds out
// whether it is back; the others are not held up by that.
func (u *upstream) begin(now time.Time) {
	u.running++
	u.sent++
	if u.failures > 0 {
		u.until = now.Add(u.pause())
	}
}

// fail notes that an attempt that began at that time has failed, and reports
// whether this is news: those that were under way together are one failure.
func (u *upstream) fail(began, now time.Time, bad bool, why string) bool {
	if u.failures > 0 && began.Before(u.since) {
		return false
	}
	u.failures++
	u.bad, u.why = bad, why
	u.since, u.until = now, now.Add(u.pause())
	return true
}

// recover ends the pauses, and reports whether there were any.
func (u *upstream) recover() bool {
	if u.failures == 0 {
		return false
	}
	u.failures, u.until = 0, time.Time{}
	return true
}

// status says how it is.
func (u *upstream) status(now time.Time) upstreamStatus {
	s := upstreamStatus{URL: u.url.String(), State: "up", Running: u.running, Sent: u.sent, Lost: u.lost}
	switch {
	case u.down:
		s.State, s.Why = "down", u.why
	case u.failures > 0:
		s.State, s.Why = "set aside", u.why
		s.PauseSeconds = max(0, u.until.Sub(now).Seconds())
	}
	return s
}

// upstreamStatus is what is told about an upstream.
type upstreamStatus struct {
	URL   string `json:"url"`
	State string `json:"state"` // up, set aside or down
	Why   string `json:"why,omitempty"`
	// PauseSeconds is how long it will get no request; afterwards it is tried.
	PauseSeconds float64 `json:"pauseSeconds,omitempty"`
	Running      int     `json:"running"`
	Sent         uint64  `json:"sent"`
	Lost         uint64  `json:"lost"`
}
