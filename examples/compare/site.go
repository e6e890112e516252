package main

import (
	"context"
	"fmt"
	"net/netip"
)

// site is where one client's load goes, and who counts its connections there
// without asking the client.
type site interface {
	// origins returns the URLs to ask.
	origins() []string
	// watch returns the context for one request.
	watch(context.Context) context.Context
	// tally returns the counts so far.
	tally() (tally, error)
	// isServer tells the server's addresses from others.
	isServer(netip.AddrPort) bool
}

// newSites returns a site for each of n clients, and the function that ends
// them.
func newSites(o options, n int) (sites []site, stop func() error, err error) {
	if o.url != nil {
		for range n {
			sites = append(sites, newTrace(o.url))
		}
		return sites, func() error { return nil }, nil
	}
	p, err := startServer(setup{Targets: n, Origins: o.origins, Seed: o.seed})
	if err != nil {
		return nil, nil, err
	}
	for i := range n {
		s, err := newLoopback(p, i)
		if err != nil {
			p.stop()
			return nil, nil, err
		}
		sites = append(sites, s)
	}
	return sites, p.stop, nil
}

// loopback is one target of the server process, which counts by itself.
type loopback struct {
	server *serverProcess
	target int
	urls   []string
	addrs  map[netip.AddrPort]bool
}

func newLoopback(p *serverProcess, target int) (*loopback, error) {
	s := &loopback{server: p, target: target, addrs: map[netip.AddrPort]bool{}}
	for _, o := range p.origins[target] {
		addr, err := netip.ParseAddrPort(o)
		if err != nil {
			return nil, fmt.Errorf("the server listens on %q: %w", o, err)
		}
		s.urls = append(s.urls, "http://"+o+"/")
		s.addrs[addr] = true
	}
	return s, nil
}

func (s *loopback) origins() []string                         { return s.urls }
func (s *loopback) watch(ctx context.Context) context.Context { return ctx }
func (s *loopback) tally() (tally, error)                     { return s.server.tally(s.target) }
func (s *loopback) isServer(a netip.AddrPort) bool            { return s.addrs[a] }
