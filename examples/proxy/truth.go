package main

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/stayopen-go/stayopen/dialer/hostcheck"
)

// truth is what the demo's clients, upstreams and kernel have counted.
type truth struct {
	Requests   int    `json:"requests"` // that the clients sent
	Failed     int    `json:"failed"`
	FirstError string `json:"firstError,omitempty"`

	Opened  int `json:"opened"` // connections that the upstreams accepted
	Closed  int `json:"closed"` // of these, how many have ended
	Answers int `json:"answers"`
	Served  int `json:"served"` // connections with at least one answer
	Avoided int `json:"closesAvoided"`
	// TimeWaits are on the proxy's side; nil where the kernel cannot be asked.
	TimeWaits *int `json:"timeWaits"`
}

// sockets counts the sockets that lead to the address and are in one of the states.
func sockets(ctx context.Context, to net.Addr, states ...hostcheck.State) (int, error) {
	a := to.(*net.TCPAddr).AddrPort()
	c, err := hostcheck.Take(ctx, hostcheck.Filter{States: states, Destination: netip.PrefixFrom(a.Addr(), a.Addr().BitLen()), Port: a.Port()})
	if err != nil {
		return 0, err
	}
	return c.Total(), nil
}

func (d *demo) count() truth {
	t := truth{Answers: int(d.answers.Load()), Served: int(d.served.Load())}
	t.Avoided = t.Answers - t.Served
	for _, l := range d.listeners {
		s := l.Stats()
		t.Opened += int(s.Accepted)
		t.Closed += int(s.Accepted - s.Open)
	}
	return t
}

// settled returns the counts when they have come to rest: what the proxy has just
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
	all := 0
	for _, l := range d.listeners {
		n, err := sockets(context.WithoutCancel(ctx), l.Addr(), hostcheck.TimeWait)
		if errors.Is(err, errors.ErrUnsupported) {
			return last, nil
		}
		if err != nil {
			return truth{}, err
		}
		all += n
	}
	last.TimeWaits = &all
	return last, nil
}
