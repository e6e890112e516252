package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/dialer/hostcheck"
	"github.com/stayopen-go/stayopen/pool/netconn"
)

// outcome is what one load cost one client.
type outcome struct {
	done, failed int
	opened       int // counted by the server
	reused       int
	rate         float64       // commands a second, pauses left out
	latency      time.Duration // of a command, on average, dialing included
	timeWaits    int           // left on this host; -1: not known
	err          error         // that of the first command that failed
}

// contender is a way to get connections.
type contender struct {
	name   string
	client client
	reused func() int
	close  func() error
}

// contenders are the two clients that are compared. The pool comes first: it
// leaves no TIME_WAITs that could be taken for the other's.
func (o options) contenders(addr string) ([]contender, error) {
	d := &dialer.Dialer{Timeout: 10 * time.Second}
	p, err := netconn.New(netconn.Config{Dial: d.DialContext, IdleTimeout: time.Minute})
	if err != nil {
		return nil, err
	}
	return []contender{
		{"pooled", client{p.DialContext, addr}, func() int { return int(p.Stats().Reused) }, p.Close},
		{"dialed", client{d.DialContext, addr}, func() int { return 0 }, func() error { return nil }},
	}, nil
}

// measure runs all loads with all contenders: one slice of outcomes for each load.
// When ctx ends it returns what there is.
func (o options) measure(ctx context.Context, addr string) ([][]outcome, error) {
	both, err := o.contenders(addr)
	if err != nil {
		return nil, err
	}
	w, err := newWitness(ctx, addr)
	if err != nil {
		return nil, err
	}
	defer w.close()
	results := make([][]outcome, len(o.loads()))
	for _, c := range both {
		for i, l := range o.loads() {
			out, err := w.watch(ctx, c, l)
			if err != nil && ctx.Err() == nil {
				return nil, errors.Join(err, c.close())
			}
			results[i] = append(results[i], out)
		}
		if err := c.close(); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// witness asks the server and the kernel, over a connection of its own that stays
// open.
type witness struct {
	client client
	close  func() error
	peer   netip.AddrPort
}

func newWitness(ctx context.Context, addr string) (*witness, error) {
	p, err := netconn.New(netconn.Config{MaxPerKey: 1})
	if err != nil {
		return nil, err
	}
	w := &witness{client{p.DialContext, addr}, p.Close, netip.AddrPort{}}
	c, err := p.DialContext(ctx, "tcp", addr)
	if err != nil {
		p.Close()
		return nil, err
	}
	defer c.Close()
	if tcp, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		w.peer = netip.AddrPortFrom(tcp.AddrPort().Addr().Unmap(), tcp.AddrPort().Port())
	}
	return w, nil
}

// timeWaits counts those that lead to the server from this host, and returns -1
// where the kernel cannot be asked.
func (w *witness) timeWaits(ctx context.Context) (int, error) {
	c, err := hostcheck.Take(ctx, hostcheck.Filter{
		States:      []hostcheck.State{hostcheck.TimeWait},
		Destination: netip.PrefixFrom(w.peer.Addr(), w.peer.Addr().BitLen()),
		Port:        w.peer.Port(),
	})
	if errors.Is(err, errors.ErrUnsupported) {
		return -1, nil
	}
	if err != nil {
		return 0, err
	}
	return c.Total(), nil
}

// state is what the server and the kernel say at one moment.
type state struct{ accepted, timeWaits int }

func (w *witness) look(ctx context.Context) (s state, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if s.accepted, err = accepted(ctx, w.client); err != nil {
		return s, fmt.Errorf("cannot ask the server for its figures: %w", err)
	}
	s.timeWaits, err = w.timeWaits(ctx)
	return s, err
}

// watch lets a contender carry a load, and counts.
func (w *witness) watch(ctx context.Context, c contender, l load) (outcome, error) {
	if ctx.Err() != nil {
		return outcome{timeWaits: -1}, nil
	}
	before, err := w.look(ctx)
	if err != nil {
		return outcome{}, err
	}
	t := &tally{client: c.client, key: "stayopen-example:" + c.name}
	reused := c.reused()
	worked := l.run(ctx, t.do)
	out := outcome{
		done:      int(t.done.Load()),
		failed:    int(t.failed.Load()),
		reused:    c.reused() - reused,
		timeWaits: -1,
	}
	out.rate = float64(out.done) / max(worked.Seconds(), 1e-6)
	if all := out.done + out.failed; all > 0 {
		out.latency = time.Duration(t.busy.Load()) / time.Duration(all)
	}
	if e := t.firstErr.Load(); e != nil {
		out.err = *e
	}
	after, err := w.look(ctx)
	out.opened = after.accepted - before.accepted
	if after.timeWaits >= 0 {
		// Old ones may have ended meanwhile.
		out.timeWaits = max(0, after.timeWaits-before.timeWaits)
	}
	return out, err
}
