package transport_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stayopen-go/stayopen/transport"
)

// streamCount counts the streams that run on each connection of a server.
type streamCount struct {
	limit int

	mu      sync.Mutex // guards what follows
	running map[net.Conn]int
	over    int // how often a connection had more than limit
	all     int
	enough  chan struct{} // closed when want run at once
	want    int
}

func (n *streamCount) begin(c net.Conn) (enough <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.running[c]++
	n.all++
	if n.running[c] > n.limit {
		n.over++
	}
	if n.all == n.want {
		n.want = 0
		close(n.enough)
	}
	return n.enough
}

func (n *streamCount) end(c net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.running[c]--
	n.all--
}

// together has the next requests wait until so many run.
func (n *streamCount) together(want int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.want, n.enough = want, make(chan struct{})
}

// spread is how many run on a connection, at most and at least.
func (n *streamCount) spread() (most, least, conns int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	least = n.limit + 1
	for _, r := range n.running {
		if r > 0 {
			conns++
		}
		most, least = max(most, r), min(least, r)
	}
	return most, least, conns
}

// serveStreams is a server that allows limit streams and answers when as many
// requests run as was asked for.
func serveStreams(t *testing.T, limit int) (*server, *streamCount) {
	n := &streamCount{limit: limit, running: make(map[net.Conn]int)}
	s := serveLimited(t, limit, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := r.Context().Value(connKey{}).(net.Conn)
		enough := n.begin(c)
		defer n.end(c)
		<-enough
		io.Copy(w, r.Body)
	}))
	return s, n
}

// streamKinds are requests; what is sent must come back.
var streamKinds = map[string]func(url string) (*http.Request, error){
	"GET": func(url string) (*http.Request, error) { return http.NewRequest("GET", url, nil) },
	"POST with GetBody": func(url string) (*http.Request, error) {
		return http.NewRequest("POST", url, strings.NewReader("hello"))
	},
	"POST without GetBody": func(url string) (*http.Request, error) {
		return http.NewRequest("POST", url, struct{ io.Reader }{strings.NewReader("hello")})
	},
}

// sendAtOnce sends n requests and waits for their answers.
func sendAtOnce(t *testing.T, tr *transport.Transport, n int, url string, kind func(string) (*http.Request, error)) *sync.WaitGroup {
	t.Helper()
	var sending sync.WaitGroup
	for range n {
		sending.Go(func() {
			req, err := kind(url)
			if err != nil {
				t.Error(err)
				return
			}
			want := ""
			if req.Body != nil {
				want = "hello"
			}
			if body, _, err := get1(tr, req); err != nil || body != want {
				t.Errorf("got %q, %v, want %q", body, err, want)
			}
		})
	}
	return &sending
}

// Each wave is answered only when all of it has arrived: 200 requests need all
// slots of 20 connections, and 100 are half of them.
func TestManyRequestsAtOnceAreSpreadOverConnectionsWithinTheirLimits(t *testing.T) {
	const limit, requests = 10, 200
	for name, kind := range streamKinds {
		t.Run(name, func(t *testing.T) {
			s, n := serveStreams(t, limit)
			tr := newTransport(t, transport.Config{Template: s.template("h2")})
			n.together(requests)
			sendAtOnce(t, tr, requests, s.URL, kind).Wait()
			st := tr.Stats()
			t.Logf("cold: %d connections, %d retries, %d failed", st.Opened, st.Retries, st.Failed)
			// A machine that takes 300 ms for a dial gets more of them.
			if st.Opened < requests/limit || st.Opened > 2*requests/limit || st.Retries != 0 {
				t.Errorf("%d connections opened, %d retries, want %d and none", st.Opened, st.Retries, requests/limit)
			}
			awaitCounted(t, tr)

			n.together(requests/2 + 1)
			sending := sendAtOnce(t, tr, requests/2, s.URL, kind)
			await(t, "half as many to run", func() bool { n.mu.Lock(); defer n.mu.Unlock(); return n.all == requests/2 })
			most, least, conns := n.spread()
			t.Logf("warm: %d requests on %d connections, %d to %d each", requests/2, conns, least, most)
			if most-least > 1 {
				t.Errorf("between %d and %d streams on a connection, want them spread to within one", least, most)
			}
			sendAtOnce(t, tr, 1, s.URL, kind).Wait()
			sending.Wait()
			if n.over > 0 {
				t.Errorf("a connection had more than %d streams %d times", limit, n.over)
			}
			if got := tr.Stats(); got.Opened != st.Opened || got.Failed != 0 || got.Retries != 0 {
				t.Errorf("%d opened, %d failed, %d retries, want no more than %d, and none", got.Opened, got.Failed, got.Retries, st.Opened)
			}
		})
	}
}

func TestOneConnectionServesAsLongAsItsStreamsLast(t *testing.T) {
	s, n := serveStreams(t, 10)
	tr := newTransport(t, transport.Config{Template: s.template("h2")})
	for _, c := range []struct{ requests, opened int }{{1, 1}, {10, 1}, {11, 2}, {20, 2}} {
		n.together(c.requests)
		sendAtOnce(t, tr, c.requests, s.URL, streamKinds["GET"]).Wait()
		if got := tr.Stats().Opened; got != uint64(c.opened) {
			t.Errorf("%d connections after %d requests at once, want %d", got, c.requests, c.opened)
		}
		awaitCounted(t, tr)
	}
}

// dialTo dials what addr says at that moment.
func dialTo(addr func() string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr())
	}
}

func TestServersThatRestartUnderLoadFailNoGET(t *testing.T) {
	const restarts, workers = 5, 16
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "ok") })
	var target atomic.Pointer[server]
	target.Store(serve(t, "h2", h))
	tmpl := target.Load().template("h2")
	tmpl.DialContext = dialTo(func() string { return target.Load().Listener.Addr().String() })
	m := newMeter(t)
	tr := newTransport(t, transport.Config{Template: tmpl, MeterProvider: m.provider})
	url := target.Load().URL
	done := make(chan struct{})
	var sent atomic.Int64
	var sending sync.WaitGroup
	for range workers {
		sending.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if body, _, err := get1(tr, newRequest(t, "GET", url, nil)); err != nil || body != "ok" {
					t.Errorf("got %q, %v, want ok", body, err)
					return
				}
				sent.Add(1)
			}
		})
	}
	for range restarts {
		before := sent.Load()
		await(t, "requests", func() bool { return sent.Load() >= before+100 })
		old := target.Swap(serve(t, "h2", h))
		if err := old.Config.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
	close(done)
	sending.Wait()
	st := tr.Stats()
	t.Logf("%d GETs, %d restarts, %d connections, %d retries, %d failed, closed: %v", sent.Load(), restarts, st.Opened, st.Retries, st.Failed, m.closes(t))
	if st.Failed != 0 || st.Opened < restarts+1 {
		t.Errorf("%d failed, %d connections, want none and at least %d", st.Failed, st.Opened, restarts+1)
	}
}
