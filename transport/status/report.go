package status

import (
	"net/netip"
	"time"

	"github.com/stayopen-go/stayopen/dialer/hostcheck"
)

// Report is what the page shows, and what is sent as JSON. Durations are in
// seconds.
type Report struct {
	Title      string      `json:"title"`      // Config.Title
	Taken      time.Time   `json:"taken"`      // when the figures were read
	Since      time.Time   `json:"since"`      // when New was called; the transports may be older
	Transports []Transport `json:"transports"` // in the order of Config.Transports

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
	Name string `json:"name"` // Config.Name

	Requests      uint64  `json:"requests"`       // RoundTrips that were well formed
	Failed        uint64  `json:"failed"`         // of these, those that returned an error
	Retries       uint64  `json:"retries"`        // attempts beyond a request's first
	Exchanges     uint64  `json:"exchanges"`      // final response headers received
	Opened        uint64  `json:"opened"`         // connections established
	Closed        uint64  `json:"closed"`         // connections closed
	Served        uint64  `json:"served"`         // connections with at least one exchange
	Wasted        uint64  `json:"wasted"`         // connections that no request has used
	Reused        uint64  `json:"reused"`         // attempts on a connection that had served before
	ClosesAvoided uint64  `json:"closes_avoided"` // exchanges on a connection that had served before
	ReuseRatio    float64 `json:"reuse_ratio"`    // ClosesAvoided over Exchanges; 0 without any
	TLSHandshakes uint64  `json:"tls_handshakes"` // TLS handshakes that succeeded
	TLSResumed    uint64  `json:"tls_resumed"`    // of these, those that resumed a session
	TimeWaits     uint64  `json:"time_waits"`     // closes that left a TIME_WAIT on this host
	Waited        uint64  `json:"waited"`         // attempts that waited for a connection, dials included
	WaitTime      float64 `json:"wait_seconds"`   // for how long, added up
	DrainedBytes  uint64  `json:"drained_bytes"`  // read from bodies that were closed early

	Open    int `json:"open"`    // connections open
	Busy    int `json:"busy"`    // of Open, those with an exchange
	Idle    int `json:"idle"`    // of Open, those without
	Active  int `json:"active"`  // exchanges running
	Dialing int `json:"dialing"` // dials in progress
	Waiting int `json:"waiting"` // requests that wait for a connection

	Closes []Close `json:"closes"` // the most frequent first

	Origins        []Origin `json:"origins"`         // those that the address asks for, up to the limit
	OriginsTotal   int      `json:"origins_total"`   // how many there are
	OriginsMatched int      `json:"origins_matched"` // how many of these the address asks for, those beyond the limit included

	History []Point `json:"history"` // oldest first; the last one is of now
}

// Close is how many connections one side has closed for one reason.
type Close struct {
	Reason string `json:"reason"` // as in the metrics' stayopen.close.reason
	By     string `json:"by"`     // local, peer or unknown
	N      uint64 `json:"n"`      // how many
}

// Origin is what there is of one origin; of several that look alike (see
// transport.OriginStats) the sum.
type Origin struct {
	Scheme   string     `json:"scheme"`             // empty for what is left of origins that are forgotten
	Host     string     `json:"host"`               // as it was asked for: it may hold anything. Empty for all hosts through an HTTP proxy
	Proxy    string     `json:"proxy,omitempty"`    // scheme://host:port of the proxy, if any, without credentials
	Source   netip.Addr `json:"source,omitzero"`    // that the requests are pinned to
	Protocol string     `json:"protocol,omitempty"` // HTTP/1.1 or HTTP/2.0
	Parts    int        `json:"parts"`              // how many origins look like this

	Open    int `json:"open"`    // connections open
	Busy    int `json:"busy"`    // of these, those with an exchange
	Idle    int `json:"idle"`    // of these, those without an exchange
	Active  int `json:"active"`  // exchanges running
	Dialing int `json:"dialing"` // dials in progress
	Waiting int `json:"waiting"` // requests that wait for a connection

	Exchanges     uint64  `json:"exchanges"`      // final response headers received
	Opened        uint64  `json:"opened"`         // connections established
	DialsFailed   uint64  `json:"dials_failed"`   // dials that failed
	Closed        uint64  `json:"closed"`         // connections closed
	ClosedByPeer  uint64  `json:"closed_by_peer"` // of Closed, those that the peer ended
	Wasted        uint64  `json:"wasted"`         // connections that no request has used
	ClosesAvoided uint64  `json:"closes_avoided"` // exchanges on a connection that had served before
	TimeWaits     uint64  `json:"time_waits"`     // closes that left a TIME_WAIT on this host
	Waited        uint64  `json:"waited"`         // attempts that waited for a connection, dials included
	WaitTime      float64 `json:"wait_seconds"`   // for how long, added up
}

// Point is what a transport's figures were at one moment.
type Point struct {
	At        time.Time `json:"at"`         // when
	Exchanges uint64    `json:"exchanges"`  // final response headers received
	Opened    uint64    `json:"opened"`     // connections established
	Closed    uint64    `json:"closed"`     // connections closed
	TimeWaits uint64    `json:"time_waits"` // closes that left a TIME_WAIT on this host
	Open      int       `json:"open"`       // connections open
	Idle      int       `json:"idle"`       // of these, those without an exchange
	Waiting   int       `json:"waiting"`    // requests that wait for a connection
}

// Budget is the port budget of a source towards a destination.
type Budget struct {
	Source      string    `json:"source"`              // empty if the kernel chooses it
	Destination string    `json:"destination"`         // the address and port dialed
	Open        int       `json:"open"`                // connections open
	TimeWait    int       `json:"time_wait"`           // ports on which a close has left a TIME_WAIT
	Size        int       `json:"size"`                // ports there are to choose from
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
	At        time.Time `json:"at"`         // when
	TimeWaits int       `json:"time_waits"` // closes that left a TIME_WAIT on this host
}
