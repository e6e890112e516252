package main

import (
	"context"
	"net"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"sync"
)

// trace is a server of the user's, seen through httptrace: it counts the
// connections that carried a request, and cannot see who closed them. A
// connection opened and never used is not in its counts. Its methods are
// safe for concurrent use.
type trace struct {
	url string

	// mu guards what follows.
	mu sync.Mutex
	// servers holds the addresses that connections went to.
	servers map[netip.AddrPort]bool
	counts  tally
	// conns holds the connections seen, so that one that waited idle before
	// its first request is counted, too: it is "reused" by then.
	conns map[net.Conn]bool
}

func newTrace(u *url.URL) *trace {
	return &trace{
		url:     u.String(),
		servers: map[netip.AddrPort]bool{},
		counts:  tally{ClosedByPeer: -1},
		conns:   map[net.Conn]bool{},
	}
}

func (t *trace) origins() []string { return []string{t.url} }

func (t *trace) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:              func(info httptrace.GotConnInfo) { t.gotConn(info.Conn) },
		GotFirstResponseByte: t.answered,
	})
}

func (t *trace) gotConn(c net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conns[c] {
		return
	}
	t.conns[c] = true
	t.counts.Accepted++
	t.counts.Served++
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		addr := a.AddrPort()
		t.servers[netip.AddrPortFrom(addr.Addr().Unmap().WithZone(""), addr.Port())] = true
	}
}

func (t *trace) answered() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.Answers++
}

func (t *trace) tally() (tally, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts, nil
}

func (t *trace) isServer(a netip.AddrPort) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.servers[a]
}
