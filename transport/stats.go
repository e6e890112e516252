package transport

import (
	"sync/atomic"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/pool"
)

// Stats is what a [Transport] has done since New, and what it has open now.
// The figures are read one by one while the transport works; at rest they obey
//
//	ClosesAvoided = Exchanges - Served
//	Opened = Served + Wasted + connections on which every exchange failed
type Stats struct {
	Requests  uint64 // RoundTrip calls for http and https that were well formed
	Failed    uint64 // of these, how many returned an error
	Retries   uint64 // attempts beyond a request's first
	Exchanges uint64 // final response headers (status 200 and above, or 101) received. A proxy's answer to CONNECT is none; every HTTP/2 stream is one

	Opened uint64 // connections established (TCP, or what the dial function returned), whether or not TLS and the proxy then agreed
	Closed uint64 // of these, how many have been closed. One whose peer is left to close first (ClosePolicy.PeerFirst) is not open any more, and counts here, with how it ended, when that is over
	Served uint64 // of these, how many had at least one exchange
	Wasted uint64 // of these, how many no request has used. An idle one may yet be, so this can fall

	OpenedBecause OpenCounts // Opened by reason, of which it is the sum
	FailedDials   uint64     // dials that failed: of TCP, TLS or a proxy

	Reused        uint64 // attempts on a connection that had served before
	ClosesAvoided uint64 // exchanges on a connection that had served before: each is one open and one close that did not happen

	// ClosesAvoidedOverDefault is an estimate: how many connections more than
	// were opened here (but for those whose TLS or proxy failed)
	// http.DefaultTransport would have opened for the same requests, and closed
	// sooner or later. A model of its pool runs alongside: 2 idle connections for
	// each host, 100 in all, 90 s. Zero without Config.CompareDefault, negative
	// where it would have opened fewer. While requests are under way it is up to a
	// second late.
	//
	// In tests the model opened exactly what the real transport did where dials
	// all took the same time, and was within 13 % where they varied by half; where
	// answers take no time, so that processors are the limit, it was up to 14 %
	// off. So much of what http.DefaultTransport would have opened is the error
	// of the difference. Package shadow's documentation says more of where it
	// comes from.
	ClosesAvoidedOverDefault int64

	TLSHandshakes uint64 // TLS handshakes that succeeded: with targets, and with proxies that are spoken to over TLS
	TLSResumed    uint64 // of these, how many resumed an earlier session, which costs far less

	TimeWaits uint64        // closes that left a TIME_WAIT on this host, at most (Linux; elsewhere 0)
	Waited    uint64        // attempts that waited for a connection, dials included
	WaitTime  time.Duration // how long they did, added up

	DrainedBytes uint64 // read from response bodies that were closed early, after gzip was undone

	Open    int // connections open now, without those handed out by an upgrade
	Idle    int // of these, how many have no exchange running
	Active  int // exchanges running: on HTTP/1 that many connections, on HTTP/2 streams; those held between two legs of an NTLM or Negotiate handshake count too
	Dialing int // dials in progress
	Waiting int // requests waiting for a connection
}

// counters are the totals. They are all the hot path pays for the metrics.
type counters struct {
	requests, failed, retries, exchanges atomic.Uint64
	closes, used, served                 atomic.Uint64
	reused, avoided                      atomic.Uint64
	timeWaits, drained                   atomic.Uint64
	fullTLS, resumedTLS                  atomic.Uint64

	waits, waitTime atomic.Uint64

	opened      opens
	failedDials dialFailures
	byReason    [len(reasons)][len(initiators)]atomic.Uint64
}

// attempt counts an attempt on c, and reports whether there was one before, and
// whether one has succeeded.
func (n *counters) attempt(c *conn) (reused, served bool) {
	reused, served = c.used.Swap(true), c.served.Load()
	if !reused {
		n.used.Add(1)
		c.tally.used.Add(1)
	}
	if served {
		n.reused.Add(1)
		c.tally.reused.Add(1)
	}
	return reused, served
}

// exchange counts a response header received on c.
func (n *counters) exchange(c *conn) {
	n.exchanges.Add(1)
	again := c.served.Swap(true)
	if again {
		n.avoided.Add(1)
	} else {
		n.served.Add(1)
	}
	c.tally.exchange(again)
}

// handshake counts a TLS handshake.
func (n *counters) handshake(resumed bool) {
	if resumed {
		n.resumedTLS.Add(1)
	} else {
		n.fullTLS.Add(1)
	}
}

// waited counts an attempt that had to wait for a connection.
func (n *counters) waited(d time.Duration) {
	n.waits.Add(1)
	n.waitTime.Add(uint64(d))
}

// setupFailed is how many connections were opened in vain.
func (n *counters) setupFailed() (sum uint64) {
	by := &n.byReason[reasonSetup.index()]
	for i := range by {
		sum += by[i].Load()
	}
	return sum
}

// closed counts the end of a connection.
func (n *counters) closed(r dialer.CloseRecord, why reason) {
	n.closes.Add(1)
	if r.TimeWait {
		n.timeWaits.Add(1)
	}
	n.byReason[why.index()][initiatorIndex(r.By)].Add(1)
}

// Stats returns the figures, the same that OpenTelemetry is given.
func (t *Transport) Stats() Stats {
	n := &t.count
	p := t.pool.Stats()
	s := Stats{
		Requests:      n.requests.Load(),
		Failed:        n.failed.Load(),
		Retries:       n.retries.Load(),
		Exchanges:     n.exchanges.Load(),
		Closed:        n.closes.Load(),
		Served:        n.served.Load(),
		Reused:        n.reused.Load(),
		ClosesAvoided: n.avoided.Load(),
		TimeWaits:     n.timeWaits.Load(),
		Waited:        n.waits.Load(),
		WaitTime:      time.Duration(n.waitTime.Load()),
		DrainedBytes:  n.drained.Load(),
		Open:          p.Open,
		Idle:          p.Idle,
		Active:        p.Leases,
		Dialing:       p.Dialing,
		Waiting:       p.Waiting,
	}
	s.TLSResumed = n.resumedTLS.Load()
	s.TLSHandshakes = n.fullTLS.Load() + s.TLSResumed
	// Used before opened, and closed (above) too: a connection counted in
	// between makes a figure late, never negative.
	used := n.used.Load()
	s.OpenedBecause, s.Opened = n.opened.read()
	_, s.FailedDials = n.failedDials.read()
	s.ClosesAvoidedOverDefault = t.compare.avoided(s.Opened - n.setupFailed())
	s.Wasted = s.Opened - used
	return s
}

// reason says why a connection was closed. It is the metrics' attribute
// stayopen.close.reason.
type reason string

const (
	reasonCanceled  reason = "canceled"         // the caller canceled an HTTP/1 exchange on it
	reasonAbandoned reason = "body_abandoned"   // a response body was closed early, with too much left to drain
	reasonLast      reason = "connection_close" // it was agreed to be the last exchange
	reasonPeer      reason = "peer_closed"      // the peer closed or reset it, or the network did
	reasonBroken    reason = "broken"           // an exchange on it failed for another reason: a malformed response, a timeout, the request's own body
	reasonPrivate   reason = "private"          // it authenticated as a whole (NTLM, Negotiate), or was about to, and nobody else may use it
	reasonUnasked   reason = "unsolicited"      // HTTP/1: something came on it that nobody had asked for, other than a farewell (408)
	reasonProtocol  reason = "protocol"         // HTTP/2: net/http closed it, for a connection error or a lost ping
	reasonGoAway    reason = "goaway"           // HTTP/2: the peer wants no more streams on it
	reasonDNS       reason = "dns"              // its host has that address no more
	reasonSetup     reason = "setup_failed"     // opened, but TLS or the proxy failed
	reasonIdle             = reason(pool.IdleTimeout)
	reasonUpgrade   reason = "upgraded" // handed out by an upgrade or CONNECT, and closed by its receiver or its peer
	reasonOther     reason = "other"    // one that is not among reasons: package pool, say, has a new one
)

// reasons are all that are counted, and the last one stands for any other: to
// have counted a connection in a bad place is better than to end a program.
var reasons = [...]reason{
	reasonCanceled, reasonAbandoned, reasonLast, reasonPeer, reasonBroken, reasonPrivate, reasonUnasked, reasonProtocol, reasonGoAway, reasonDNS, reasonSetup, reasonUpgrade,
	reasonIdle, reason(pool.MaxAge), reason(pool.MaxLeases), reason(pool.IdleLimit), reason(pool.Surplus), reason(pool.Evicted), reason(pool.CloseIdle), reason(pool.Closed),
	reasonOther,
}

func (r reason) index() int {
	for i, known := range reasons {
		if r == known {
			return i
		}
	}
	return len(reasons) - 1
}

var initiators = [...]dialer.Initiator{dialer.Local, dialer.Peer, dialer.UnknownInitiator}

func initiatorIndex(by dialer.Initiator) int {
	for i, known := range initiators {
		if by == known {
			return i
		}
	}
	return len(initiators) - 1
}
