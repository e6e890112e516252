package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"

	"github.com/stayopen-go/stayopen/dialer"
)

// demo is a set of sites, each with a loopback address of its own, all on one port.
// It counts what its crawler does.
type demo struct {
	sites     map[string]*site
	hosts     []string
	listeners []*dialer.Listener
	server    http.Server
	serving   sync.WaitGroup

	answers, served atomic.Int64

	// mu guards the log and the counts of running requests.
	mu           sync.Mutex
	log          map[string]int // requests by URL
	running      map[string]int // by host
	all          int
	peak, peakOf int // the most at a time: in all, and of one host
}

// startDemo starts the sites. The caller must call close.
func startDemo(ctx context.Context, sites, pages int) (*demo, error) {
	d := &demo{sites: map[string]*site{}, log: map[string]int{}, running: map[string]int{}}
	if err := d.listen(ctx, sites); err != nil {
		return nil, fmt.Errorf("cannot start the demo's sites: %w", err)
	}
	for _, l := range d.listeners {
		d.hosts = append(d.hosts, l.Addr().String())
	}
	for i, h := range d.hosts {
		d.sites[h] = &site{number: i, pages: pages, next: d.hosts[(i+1)%len(d.hosts)]}
	}
	d.server.Handler = d
	d.server.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, servedKey{}, new(atomic.Bool))
	}
	for _, l := range d.listeners {
		d.serving.Go(func() { d.server.Serve(l) })
	}
	return d, nil
}

// servedKey is where a connection's context says whether it has brought an answer.
type servedKey struct{}

// close closes the sites and every connection to them.
func (d *demo) close() {
	d.server.Close()
	d.serving.Wait()
}

// start is the list of start URLs.
func (d *demo) start() []*url.URL {
	var all []*url.URL
	for _, h := range d.hosts {
		all = append(all, &url.URL{Scheme: "http", Host: h, Path: "/"})
	}
	return all
}

// ServeHTTP counts and logs, and has the site answer.
func (d *demo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer d.enter(r.Host, r.URL.Path)()
	if r.Context().Value(servedKey{}).(*atomic.Bool).CompareAndSwap(false, true) {
		d.served.Add(1)
	}
	d.answers.Add(1)
	if s := d.sites[r.Host]; s != nil {
		s.serve(w, r)
	} else {
		http.Error(w, "no such site", http.StatusMisdirectedRequest)
	}
}

// enter notes a request that begins, and returns what notes its end.
func (d *demo) enter(host, path string) func() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.log[host+path]++
	d.all++
	d.running[host]++
	d.peak = max(d.peak, d.all)
	d.peakOf = max(d.peakOf, d.running[host])
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.all--
		d.running[host]--
	}
}

// listen listens on one port of as many loopback addresses. Where the system has
// only the one, each site gets a port of its own there.
func (d *demo) listen(ctx context.Context, sites int) error {
	const attempts = 20
	for range attempts {
		// Somebody else may hold the port on one of the other addresses.
		err := d.listenEach(ctx, sites, func(i int) (netip.Addr, uint16) {
			return netip.AddrFrom4([4]byte{127, 77, byte(i / 250), byte(i%250 + 1)}), d.port()
		})
		if err == nil && !d.hasHistory(ctx) {
			return nil
		}
		d.closeListeners()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return d.listenEach(ctx, sites, func(int) (netip.Addr, uint16) { return netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0 })
}

func (d *demo) listenEach(ctx context.Context, sites int, where func(int) (netip.Addr, uint16)) error {
	for i := range sites {
		var lc dialer.ListenConfig
		l, err := lc.Listen(ctx, "tcp4", netip.AddrPortFrom(where(i)).String())
		if err != nil {
			d.closeListeners()
			return err
		}
		d.listeners = append(d.listeners, l.(*dialer.Listener))
	}
	return nil
}

func (d *demo) closeListeners() {
	for _, l := range d.listeners {
		l.Close()
	}
	d.listeners = nil
}

// port is the port of the sites, 0 before there is any.
func (d *demo) port() uint16 {
	if len(d.listeners) == 0 {
		return 0
	}
	return d.listeners[0].Addr().(*net.TCPAddr).AddrPort().Port()
}

// hasHistory reports whether the kernel remembers connections to the port, which
// would be counted as this crawl's.
func (d *demo) hasHistory(ctx context.Context) bool {
	n, err := d.sockets(ctx)
	return err == nil && n > 0
}
