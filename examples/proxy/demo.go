package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"

	"github.com/stayopen-go/stayopen/dialer"
)

// demo is a set of upstreams on loopback. It counts what the proxy does with them.
type demo struct {
	listeners []*dialer.Listener
	server    http.Server
	serving   sync.WaitGroup

	answers, served atomic.Int64
}

// servedKey is where a connection's context says whether it has brought an answer.
type servedKey struct{}

// startDemo starts upstreams. The caller must call close.
func startDemo(ctx context.Context, upstreams int) (*demo, error) {
	d := new(demo)
	d.server.Handler = d
	d.server.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, servedKey{}, new(atomic.Bool))
	}
	for range upstreams {
		l, err := listenAfresh(ctx)
		if err != nil {
			d.close()
			return nil, fmt.Errorf("cannot start the demo's upstreams: %w", err)
		}
		d.listeners = append(d.listeners, l)
		d.serving.Go(func() { d.server.Serve(l) })
	}
	return d, nil
}

// listenAfresh listens on a port to which the kernel remembers no connections:
// those would be counted as this run's.
func listenAfresh(ctx context.Context) (*dialer.Listener, error) {
	const attempts = 20
	for i := 0; ; i++ {
		l, err := new(dialer.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		if n, err := sockets(ctx, l.Addr()); err != nil || n == 0 || i == attempts {
			return l.(*dialer.Listener), nil
		}
		l.Close()
	}
}

// close closes the upstreams and every connection to them.
func (d *demo) close() {
	d.server.Close()
	for _, l := range d.listeners {
		l.Close()
	}
	d.serving.Wait()
}

// urls are those of the upstreams.
func (d *demo) urls() []*url.URL {
	var all []*url.URL
	for _, l := range d.listeners {
		all = append(all, &url.URL{Scheme: "http", Host: l.Addr().String()})
	}
	return all
}

// ServeHTTP counts, and answers.
func (d *demo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Context().Value(servedKey{}).(*atomic.Bool).CompareAndSwap(false, true) {
		d.served.Add(1)
	}
	d.answers.Add(1)
	errandOf(r.URL.Path).serve(w, r)
}

// runDemo lets every client that the options ask for have a proxy of its own, with
// upstreams of its own, one after the other.
func (o options) runDemo(ctx context.Context, l *logger) (*report, error) {
	clients := []func(options) (client, error){newStayopen}
	if o.compare {
		clients = []func(options) (client, error){newDefault, newStayopen}
	}
	r := &report{options: o}
	for _, newClient := range clients {
		if ctx.Err() != nil {
			break
		}
		out, err := o.demoWith(ctx, newClient, l)
		if err != nil {
			return nil, err
		}
		r.runs = append(r.runs, out)
	}
	r.interrupted = ctx.Err() != nil
	return r, nil
}

func (o options) demoWith(ctx context.Context, newClient func(options) (client, error), l *logger) (outcome, error) {
	d, err := startDemo(ctx, o.demoUpstreams)
	if err != nil {
		return outcome{}, err
	}
	defer d.close()
	o.listen, o.upstreams = "127.0.0.1:0", d.urls()
	s, err := startServer(ctx, o, newClient, l)
	if err != nil {
		return outcome{}, err
	}
	defer s.close()
	stopping, stop := context.WithCancel(context.Background())
	load := &load{url: "http://" + s.listener.Addr().String(), requests: o.demoRequests}
	var sending sync.WaitGroup
	sending.Go(func() {
		defer stop()
		load.run(ctx, o.demoClients)
	})
	err = s.run(stopping)
	sending.Wait()
	if err != nil {
		return outcome{}, err
	}
	out := s.outcome()
	out.Seconds = load.took.Seconds()
	out.Stats = s.client.atRest()
	t, err := d.settled(ctx)
	if err != nil {
		return outcome{}, err
	}
	t.Requests, t.Failed, t.FirstError = int(load.sent.Load()), int(load.failed.Load()), load.first()
	out.Demo = &t
	return out, nil
}
