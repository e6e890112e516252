package transport

import (
	"iter"
	"net/netip"
	"net/url"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/pool"
)

// OriginStats is what a [Transport] has done towards one origin, and what it has
// open there now. An origin is what connections are shared within. Several may
// look alike here: those that differ in their Config.Partition, their sticky key,
// their proxy's credentials, or in that upgrades or requests with credentials
// have connections of their own. None of these is told.
//
// The figures mean what those of the same name in [Stats] do.
type OriginStats struct {
	Scheme string     // of the target: "http" or "https". Empty for the sum of the origins that are forgotten, see Transport.Origins
	Host   string     // the target's host:port as it was asked for, which may hold anything; empty for http through an HTTP proxy, whose connections serve all hosts
	Proxy  string     // scheme://host:port without credentials; empty without one
	Source netip.Addr // what dialer.WithSource pins the requests to; the zero Addr without that

	// Protocol is "HTTP/1.1" or "HTTP/2.0", as the connection dialed last
	// speaks; empty before there is one.
	Protocol string

	Open    int // connections open now
	Idle    int // of these, how many have no exchange running
	Active  int // exchanges running
	Dialing int // dials in progress
	Waiting int // requests waiting for a connection

	Exchanges     uint64        // final response headers received
	Opened        uint64        // connections established
	DialsFailed   uint64        // dials that failed, TLS and the proxy included, but for those that were canceled
	Closed        uint64        // connections closed
	ClosedByPeer  uint64        // of Closed, how many the peer ended
	Served        uint64        // connections with at least one exchange
	Wasted        uint64        // connections that no request has used
	Reused        uint64        // attempts on a connection that had served before
	ClosesAvoided uint64        // exchanges on a connection that had served before
	TimeWaits     uint64        // closes that left a TIME_WAIT on this host
	Waited        uint64        // attempts that waited for a connection, dials included
	WaitTime      time.Duration // for how long, added up
}

// Origins goes through the origins, in no particular order. The totals are counted
// on the origin that a connection was dialed for.
//
// Origins that have a connection, a dial or a waiting request are all there. Of
// the others the 1,024 that had a connection or a dial last are remembered. What
// the rest have done is in one last OriginStats without Scheme, so that the
// figures of all add up to those of Stats. While the transport works they do so
// roughly, since one figure is read after the other.
//
// No request waits for the loop: what it needs is copied origin by origin, and no
// lock is held in its body. It may be
// called at any time by anybody, also after Close.
func (t *Transport) Origins() iter.Seq[OriginStats] {
	return func(yield func(OriginStats) bool) {
		var sum OriginStats
		seen := make(map[origin]struct{}) // by origin: its tally may come meanwhile
		for o, now := range t.pool.All() {
			seen[o] = struct{}{}
			var s OriginStats
			if known, ok := t.tallies.byOrigin.Load(o); ok {
				s = known.(*tally).stats()
			}
			s.name(o)
			s.at(now)
			sum.add(s)
			if !yield(s) {
				return
			}
		}
		stop := false
		t.tallies.byOrigin.Range(func(o, known any) bool {
			if _, ok := seen[o.(origin)]; ok {
				return true
			}
			s := known.(*tally).stats()
			s.name(o.(origin))
			sum.add(s)
			stop = !yield(s)
			return !stop
		})
		if stop || !t.tallies.forgotten.Load() {
			return
		}
		rest := t.total().without(sum)
		rest.at(pool.Stats{}) // what is there now has come meanwhile
		if rest != (OriginStats{}) {
			yield(rest)
		}
	}
}

// name says which origin it is.
func (s *OriginStats) name(o origin) {
	s.Scheme, s.Host, s.Source = o.scheme, o.addr, o.source
	if u := o.proxyURL(); u != nil {
		s.Proxy = (&url.URL{Scheme: u.Scheme, Host: u.Host}).String()
	}
}

// at fills in what there is now.
func (s *OriginStats) at(now pool.Stats) {
	s.Open, s.Idle, s.Active, s.Dialing, s.Waiting = now.Open, now.Idle, now.Leases, now.Dialing, now.Waiting
}

// stats are the totals.
func (t *tally) stats() OriginStats {
	s := OriginStats{
		Exchanges:     t.exchanges.Load(),
		DialsFailed:   t.dialsFailed.Load(),
		Closed:        t.closes.Load(),
		ClosedByPeer:  t.closesByPeer.Load(),
		Served:        t.served.Load(),
		Reused:        t.reused.Load(),
		ClosesAvoided: t.avoided.Load(),
		TimeWaits:     t.timeWaits.Load(),
		Waited:        t.waits.Load(),
		WaitTime:      time.Duration(t.waitTime.Load()),
	}
	switch t.protocol.Load() {
	case protocolHTTP1:
		s.Protocol = "HTTP/1.1"
	case protocolHTTP2:
		s.Protocol = "HTTP/2.0"
	}
	used := t.used.Load() // before opened, as in Transport.Stats
	s.Opened = t.opened.Load()
	s.Wasted = s.Opened - min(used, s.Opened)
	return s
}

// total is what all origins have done together.
func (t *Transport) total() OriginStats {
	all := t.Stats()
	s := OriginStats{
		Open: all.Open, Idle: all.Idle, Active: all.Active, Dialing: all.Dialing, Waiting: all.Waiting,
		Exchanges:     all.Exchanges,
		Opened:        all.Opened,
		DialsFailed:   t.tallies.dialsFailed.Load(),
		Closed:        all.Closed,
		Served:        all.Served,
		Wasted:        all.Wasted,
		Reused:        all.Reused,
		ClosesAvoided: all.ClosesAvoided,
		TimeWaits:     all.TimeWaits,
		Waited:        all.Waited,
		WaitTime:      all.WaitTime,
	}
	for _, n := range t.Closes() {
		if n.By == dialer.Peer {
			s.ClosedByPeer += n.N
		}
	}
	return s
}

// add adds up figures.
func (s *OriginStats) add(other OriginStats) {
	theirs, waited := other.figures()
	mine, wait := s.figures()
	for i, n := range theirs.now {
		*mine.now[i] += *n
	}
	for i, n := range theirs.totals {
		*mine.totals[i] += *n
	}
	*wait += *waited
}

// without is what s has beyond other, and never below zero: what there was of
// something at one moment may be more than what there is at the next.
func (s OriginStats) without(other OriginStats) OriginStats {
	theirs, waited := other.figures()
	mine, wait := s.figures()
	for i, n := range theirs.now {
		*mine.now[i] = max(*mine.now[i]-*n, 0)
	}
	for i, n := range theirs.totals {
		*mine.totals[i] -= min(*n, *mine.totals[i])
	}
	*wait = max(*wait-*waited, 0)
	return s
}

// figures are the numbers in an OriginStats.
type figures struct {
	now    [5]*int
	totals [11]*uint64
}

func (s *OriginStats) figures() (figures, *time.Duration) {
	return figures{
		[...]*int{&s.Open, &s.Idle, &s.Active, &s.Dialing, &s.Waiting},
		[...]*uint64{
			&s.Exchanges, &s.Opened, &s.DialsFailed, &s.Closed, &s.ClosedByPeer, &s.Served,
			&s.Wasted, &s.Reused, &s.ClosesAvoided, &s.TimeWaits, &s.Waited,
		},
	}, &s.WaitTime
}
