package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/transport"
)

// server is a proxy with its listener and all that belongs to it.
type server struct {
	options  options
	log      *logger
	started  time.Time
	client   client
	balancer *balancer
	checker  *checker // nil without checks
	proxy    *proxy
	listener *dialer.Listener
	admin    *admin // nil without an address for it
	http     http.Server
	cut      context.CancelCauseFunc // ends all requests
	served   chan error              // Serve's error
}

// headerTimeout is how long a client may take for the header of a request.
const headerTimeout = 10 * time.Second

// startServer listens and serves. The caller must call run, and then close.
func startServer(ctx context.Context, o options, newClient func(options) (client, error), l *logger) (*server, error) {
	c, err := newClient(o)
	if err != nil {
		return nil, err
	}
	s := &server{options: o, log: l, started: time.Now(), client: c, served: make(chan error, 1)}
	s.balancer = newBalancer(o, c.rt, l)
	s.proxy = newProxy(s.balancer, l)
	if o.health != "" {
		path, _ := healthURL(o.health) // validated
		s.checker = &checker{balancer: s.balancer, path: path, every: o.healthEvery}
	}
	lc := dialer.ListenConfig{ReusePort: o.sharePort}
	listener, err := lc.Listen(ctx, "tcp", o.listen)
	if err != nil {
		c.close()
		return nil, fmt.Errorf("-listen: %w", err)
	}
	s.listener = listener.(*dialer.Listener)
	if o.admin != "" {
		if s.admin, err = startAdmin(o.admin, s); err != nil {
			s.listener.Close()
			c.close()
			return nil, err
		}
	}
	s.serve()
	return s, nil
}

func (s *server) serve() {
	base, cut := context.WithCancelCause(context.Background())
	s.cut = cut
	s.http = http.Server{
		Handler:           s.proxy,
		BaseContext:       func(net.Listener) context.Context { return base },
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          log.New(s.log.limited(), "", 0),
	}
	go func() { s.served <- s.http.Serve(s.listener) }()
}

// run serves until ctx ends, or the listener fails, and then stops.
func (s *server) run(ctx context.Context) error {
	var background sync.WaitGroup
	working, rest := context.WithCancel(context.Background())
	if s.checker != nil {
		background.Go(func() { s.checker.run(working) })
	}
	background.Go(func() { s.show(working) })
	var err error
	select {
	case <-ctx.Done():
	case err = <-s.served:
		s.served <- err // for leave
	}
	s.leave()
	rest()
	background.Wait()
	return err
}

// leave stops listening without losing a connection, lets requests end for the
// grace, and cuts off what is left.
func (s *server) leave() {
	s.proxy.leaving.Store(true)
	s.log.printf("stopping: requests have %v to end", s.options.grace)
	ctx, cancel := context.WithTimeout(context.Background(), s.options.grace)
	defer cancel()
	if err := s.listener.Drain(ctx); err != nil && !errors.Is(err, errors.ErrUnsupported) && ctx.Err() == nil {
		s.log.printf("%v", err)
	}
	<-s.served
	s.finish(ctx)
	s.cut(errCut)
	end, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	await(end, func() bool { return s.proxy.requests.running.Load() == 0 })
	s.http.Close()
}

// finish returns when all clients' connections have ended, or ctx.
func (s *server) finish(ctx context.Context) {
	// Who asks once more is told that this was the last answer. To close idle
	// connections at once would cross requests that are on their way.
	const askedOnceMore = time.Second
	once, cancel := context.WithTimeout(ctx, askedOnceMore)
	defer cancel()
	empty := func() bool { return s.listener.Stats().Open == 0 }
	await(once, empty)
	await(ctx, func() bool {
		s.http.SetKeepAlivesEnabled(false) // closes those that are idle now
		return empty()
	})
}

// await asks again and again until the condition holds or ctx ends.
func await(ctx context.Context, condition func() bool) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// atRest returns the client's figures when no dial is in progress and no exchange
// running, but waits no longer than a moment.
func (c client) atRest() *transport.Stats {
	if c.stats == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	st := c.stats()
	await(ctx, func() bool {
		st = c.stats()
		return st.Dialing+st.Active == 0
	})
	return &st
}

// close closes what run has left.
func (s *server) close() {
	s.admin.close()
	s.client.close()
}
