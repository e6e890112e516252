package status

import (
	"net/netip"
	"time"

	"github.com/stayopen-go/stayopen/dialer/hostcheck"
)

// Report is what the page shows, and what is sent as JSON. Durations are in
// seconds.
type Report struct {
	Title      string      `json:"title"`
	Taken      time.Time   `json:"taken"` // when the figures were read
	Since      time.Time   `json:"since"` // when New was called; the transports may be older
	Transports []Transport `json:"transports"`

	// Budgets are those of the process, the fullest first, whichever transport or
	// Dialer the connections are of.
	Budgets      []Budget `json:"budgets"`
	BudgetsTotal int      `json:"budgets_total"` // how many there are, those not listed included

	// Host is nil with Config.WithoutHost.
	Host *Host `json:"host,omitempty"`
}

// Transport is one transport's part of a Report. Its figures are those of
// transport.Stats.
type Transport struct {
	Name string `json:"name"`

	Requests      uint64  `json:"requests"`
	Failed        uint64  `json:"failed"`
	Retries       uint64  `json:"retries"`
	Exchanges     uint64  `json:"exchanges"`
	Opened        uint64  `json:"opened"`
	Closed        uint64  `json:"closed"`
	Served        uint64  `json:"served"`
	Wasted        uint64  `json:"wasted"`
	Reused        uint64  `json:"reused"`
	ClosesAvoided uint64  `json:"closes_avoided"`
	ReuseRatio    float64 `json:"reuse_ratio"` // ClosesAvoided over Exchanges; 0 without any
	TLSHandshakes uint64  `json:"tls_handshakes"`
	TLSResumed    uint64  `json:"tls_resumed"`
	TimeWaits     uint64  `json:"time_waits"`
	Waited        uint64  `json:"waited"`
	WaitTime      float64 `json:"wait_seconds"`
	DrainedBytes  uint64  `json:"drained_bytes"`

	Open    int `json:"open"`
	Busy    int `json:"busy"` // of Open, those with an exchange
	Idle    int `json:"idle"` // of Open, those without
	Active  int `json:"active"`
	Dialing int `json:"dialing"`
	Waiting int `json:"waiting"`

	Closes []Close `json:"closes"` // the most frequent first

	Origins        []Origin `json:"origins"`
	OriginsTotal   int      `json:"origins_total"`   // how many there are
	OriginsMatched int      `json:"origins_matched"` // how many of these the address asks for, those beyond the limit included

	History []Point `json:"history"` // oldest first; the last one is of now
}

// Close is how many connections one side has closed for one reason.
type Close struct {
	Reason string `json:"reason"` // as in the metrics' stayopen.close.reason
	By     string `json:"by"`     // local, peer or unknown
	N      uint64 `json:"n"`
}

// Origin is what there is of one origin; of several that look alike (see
// transport.OriginStats) the sum.
type Origin struct {
	Scheme   string     `json:"scheme"` // empty for what is left of origins that are forgotten
	Host     string     `json:"host"`   // as it was asked for: it may hold anything. Empty for all hosts through an HTTP proxy
	Proxy    string     `json:"proxy,omitempty"`
	Source   netip.Addr `json:"source,omitzero"`    // that the requests are pinned to
	Protocol string     `json:"protocol,omitempty"` // HTTP/1.1 or HTTP/2.0
	Parts    int        `json:"parts"`              // how many origins look like this

	Open    int `json:"open"`
	Busy    int `json:"busy"`
	Idle    int `json:"idle"`
	Active  int `json:"active"`
	Dialing int `json:"dialing"`
	Waiting int `json:"waiting"`

	Exchanges     uint64  `json:"exchanges"`
	Opened        uint64  `json:"opened"`
	DialsFailed   uint64  `json:"dials_failed"`
	Closed        uint64  `json:"closed"`
	ClosedByPeer  uint64  `json:"closed_by_peer"`
	Wasted        uint64  `json:"wasted"`
	ClosesAvoided uint64  `json:"closes_avoided"`
	TimeWaits     uint64  `json:"time_waits"`
	Waited        uint64  `json:"waited"`
	WaitTime      float64 `json:"wait_seconds"`
}

// Point is what a transport's figures were at one moment.
type Point struct {
	At        time.Time `json:"at"`
	Exchanges uint64    `json:"exchanges"`
	Opened    uint64    `json:"opened"`
	Closed    uint64    `json:"closed"`
	TimeWaits uint64    `json:"time_waits"`
	Open      int       `json:"open"`
	Idle      int       `json:"idle"`
	Waiting   int       `json:"waiting"`
}

// Budget is the port budget of a source towards a destination.
type Budget struct {
	Source      string    `json:"source"` // empty if the kernel chooses it
	Destination string    `json:"destination"`
	Open        int       `json:"open"`
	TimeWait    int       `json:"time_wait"`
	Size        int       `json:"size"`
	Used        float64   `json:"used"`                // 1 is all; it can be more
	ResumesAt   time.Time `json:"resumes_at,omitzero"` // when the next dial may ask for a port
}

// Host is about the network namespace that the program runs in.
type Host struct {
	Checked  time.Time           `json:"checked,omitzero"` // when the findings were made; zero before they are
	Error    string              `json:"error,omitempty"`  // why there are none
	Findings []hostcheck.Finding `json:"findings"`         // the worst first

	TimeWaits []HostPoint `json:"time_waits"` // oldest first; empty where the system does not tell
}

// HostPoint is how many sockets in TIME_WAIT the host had at one moment.
type HostPoint struct {
	At        time.Time `json:"at"`
	TimeWaits int       `json:"time_waits"`
}
