package main

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/stayopen-go/stayopen/dialer/hostcheck"
)

// sockets counts the sockets that lead to the sites and are in one of the states.
func (d *demo) sockets(ctx context.Context, states ...hostcheck.State) (int, error) {
	c, err := hostcheck.Take(ctx, hostcheck.Filter{States: states, Destination: netip.MustParsePrefix("127.77.0.0/16"), Port: d.port()})
	if err != nil {
		return 0, err
	}
	return c.Total(), nil
}

// truth is what the sites and the kernel have counted of a crawl.
type truth struct {
	Opened int `json:"opened"` // connections that the sites accepted
	Closed int `json:"closed"` // of these, how many have ended
	// ClosedByUs of these were closed by the crawler first.
	ClosedByUs int `json:"closedByUs"`
	Answers    int `json:"answers"`
	Served     int `json:"served"` // connections with at least one answer
	Avoided    int `json:"closesAvoided"`
	// TimeWaits are the kernel's, on the crawler's side; nil where it cannot be
	// asked.
	TimeWaits *int `json:"timeWaits"`
}

func (d *demo) count() truth {
	t := truth{Answers: int(d.answers.Load()), Served: int(d.served.Load())}
	t.Avoided = t.Answers - t.Served
	for _, l := range d.listeners {
		s := l.Stats()
		t.Opened += int(s.Accepted)
		t.Closed += int(s.Accepted - s.Open)
		t.ClosedByUs += int(s.ClosedByPeer)
	}
	return t
}

// settled returns the counts when they have come to rest: what the crawler has just
// opened or closed may be on its way.
func (d *demo) settled(ctx context.Context) (truth, error) {
	const still, giveUp = 100 * time.Millisecond, 5 * time.Second
	tick := time.NewTicker(still)
	defer tick.Stop()
	last := d.count()
	for begun := time.Now(); time.Since(begun) < giveUp; {
		<-tick.C
		now := d.count()
		if now == last {
			break
		}
		last = now
	}
	n, err := d.sockets(context.WithoutCancel(ctx), hostcheck.TimeWait)
	switch {
	case err == nil:
		last.TimeWaits = &n
	case !errors.Is(err, errors.ErrUnsupported):
		return truth{}, err
	}
	return last, nil
}
