package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// running is a proxy that a test has started.
type running struct {
	*server
	url    string
	client *http.Client
	logged *logged
	stop   func() outcome // ends it in good order, once
}

// logged is what a proxy has written to stderr.
type logged struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startProxy runs a proxy with the flags until the test ends.
func startProxy(t *testing.T, args ...string) *running {
	t.Helper()
	o, err := parseOptions(append([]string{"-listen=127.0.0.1:0"}, args...))
	if err != nil {
		t.Fatal(err)
	}
	text := new(logged)
	s, err := startServer(t.Context(), o, newStayopen, newLogger(text))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx) }()
	rt := &http.Transport{MaxIdleConnsPerHost: 1000, DisableCompression: true}
	r := &running{server: s, url: "http://" + s.listener.Addr().String(), client: &http.Client{Transport: rt}, logged: text}
	r.stop = sync.OnceValue(func() outcome {
		rt.CloseIdleConnections()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the proxy ended with %v", err)
		}
		out := s.outcome()
		out.Stats = s.client.atRest()
		s.close()
		return out
	})
	t.Cleanup(func() {
		r.stop()
		rt.CloseIdleConnections()
		if t.Failed() {
			t.Logf("the proxy wrote:\n%s", text)
		}
	})
	return r
}

// get sends a GET through the proxy.
func (r *running) get(t *testing.T, path string) (string, *http.Response) {
	t.Helper()
	resp, err := r.client.Get(r.url + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), resp
}

// backend is an upstream that can be killed and brought back. It counts.
type backend struct {
	address  string
	handler  http.Handler
	server   *http.Server
	served   chan struct{} // closed when Serve has returned
	accepted atomic.Int64
	answers  atomic.Int64
}

func startBackend(t *testing.T, h http.HandlerFunc) *backend {
	t.Helper()
	b := &backend{address: "127.0.0.1:0"}
	b.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.answers.Add(1)
		h(w, r)
	})
	b.start(t)
	t.Cleanup(b.kill)
	return b
}

func (b *backend) url() string { return "http://" + b.address }

// start listens, after a kill on the port from before.
func (b *backend) start(t *testing.T) {
	t.Helper()
	var l net.Listener
	wait(t, "the upstream to listen", func() (ok bool) {
		var err error
		l, err = net.Listen("tcp", b.address)
		return err == nil
	})
	b.address = l.Addr().String()
	s, served := &http.Server{Handler: b.handler, ConnState: func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			b.accepted.Add(1)
		}
	}}, make(chan struct{})
	b.server, b.served = s, served
	go func() {
		defer close(served)
		s.Serve(l)
	}()
}

// kill closes the listener and every connection.
func (b *backend) kill() {
	b.server.Close()
	<-b.served
}

// wait returns when the condition holds.
func wait(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	await(ctx, condition)
	if ctx.Err() != nil {
		t.Fatalf("waited in vain for %s", what)
	}
}

func (r *running) state(i int) string { return r.balancer.status()[i].State }

// said answers every request with a word.
func said(word string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, word) }
}

// secureBackend serves https, and HTTP/2 where asked to, and returns the flags to
// reach it.
func secureBackend(t *testing.T, http2 bool, h http.HandlerFunc) []string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = http2
	s.StartTLS()
	t.Cleanup(s.Close)
	return []string{"-upstream=" + s.URL, "-ca=" + writePEM(t, s.Certificate().Raw)}
}

// readAll is io.ReadAll, with an error for a status that is not 200.
func readAll(resp *http.Response, err error) (string, error) {
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return string(b), err
}

// dialProxy opens a connection to the proxy.
func dialProxy(t *testing.T, r *running) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", r.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
