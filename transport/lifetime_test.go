package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/internal/netlab"
	"github.com/stayopen-go/stayopen/pool"
	"github.com/stayopen-go/stayopen/transport"
)

func TestPeersWordOnIdleTimeIsObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, tmpl := newMemory().serve(t, "h1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Keep-Alive", "timeout=1")
		}))
		tr := newTransport(t, transport.Config{Template: tmpl})
		mustGet(t, &http.Client{Transport: tr}, s.URL)
		pass(400 * time.Millisecond)
		if got := tr.Stats().Idle; got != 1 {
			t.Errorf("got %d idle after 400 ms, want 1: there is time for another request", got)
		}
		pass(600*time.Millisecond - time.Nanosecond)
		synctest.Wait()
		if got := tr.Stats().Closed; got != 1 {
			t.Errorf("got %d closed just before the peer's second is over, want 1", got)
		}
	})
}

func TestPeersWordOnRequestsIsObeyed(t *testing.T) {
	var mu sync.Mutex
	left := map[string]int{} // by the client's address
	s := serve(t, "h1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		left[r.RemoteAddr]++
		if n := 3 - left[r.RemoteAddr]; n > 0 {
			w.Header().Set("Keep-Alive", fmt.Sprintf("timeout=60, max=%d", n))
		} else if n == 0 && !r.Close {
			t.Error("got the third of 3 requests without a word that it is the last")
		} else if n < 0 {
			t.Errorf("got request %d on a connection that takes 3", left[r.RemoteAddr])
		}
	}))
	tr := newTransport(t, transport.Config{Template: s.template("h1")})
	for range 9 {
		mustGet(t, &http.Client{Transport: tr}, s.URL)
	}
	if got := tr.Stats().Opened; got != 3 {
		t.Errorf("got %d connections for 9 requests, want 3", got)
	}
}

func TestIdleTimeoutOfAServerIsLearned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = 1600 * time.Millisecond
		m := newMemory()
		server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), IdleTimeout: timeout}
		served := make(chan struct{})
		go func() {
			defer close(served)
			server.Serve(m)
		}()
		defer func() { server.Close(); <-served }()
		tr := newTransport(t, transport.Config{Template: &http.Transport{DialContext: m.DialContext}})
		ages := make([]time.Duration, 5)
		for i := range ages {
			mustGet(t, &http.Client{Transport: tr}, "http://a.example/")
			start := time.Now()
			for tr.Stats().Closed < uint64(i+1) && time.Since(start) < time.Minute {
				pass(time.Millisecond)
				synctest.Wait()
			}
			ages[i] = time.Since(start)
		}
		t.Logf("a server that closes after %v: closed after %v", timeout, ages)
		for i, age := range ages {
			byServer := age >= timeout && age <= timeout+time.Millisecond
			if i < 3 != byServer || age >= time.Minute || age < time.Second {
				t.Errorf("connection %d was closed after %v, want the first three closed by the server and those after them before it", i, age)
			}
		}
	})
}

func TestRequestLimitRetiresConnections(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		s := serve(t, mode, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		tr := newTransport(t, transport.Config{Template: s.template(mode), MaxRequestsPerConn: 4})
		for range 20 {
			mustGet(t, &http.Client{Transport: tr}, s.URL)
		}
		if got := tr.Stats().Opened; got != 5 {
			t.Errorf("got %d connections for 20 requests, want 5", got)
		}
	})
}

func TestWarmOpensConnectionsThatRequestsThenFind(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		s := serve(t, mode, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		tr := newTransport(t, transport.Config{Template: s.template(mode)})
		if err := tr.Warm(t.Context(), s.URL+"/path", 3); err != nil {
			t.Fatal(err)
		}
		got := tr.Stats()
		if got.Open != 3 || got.Idle != 3 || got.Requests != 0 {
			t.Errorf("got %+v, want 3 open and idle, and no request", got)
		}
		mustGet(t, &http.Client{Transport: tr}, s.URL)
		if got := tr.Stats(); got.Opened != 3 || got.Waited != 0 {
			t.Errorf("got %d opened and %d waits, want the request on what was warm", got.Opened, got.Waited)
		}
		for _, bad := range []string{"ftp://host/", "/path", "http://", "::"} {
			if err := tr.Warm(t.Context(), bad, 1); err == nil {
				t.Errorf("%q: got no error", bad)
			}
		}
		tr.Close()
		if err := tr.Warm(t.Context(), s.URL, 1); !errors.Is(err, transport.ErrClosed) {
			t.Errorf("after Close: got %v, want %v", err, transport.ErrClosed)
		}
	})
}

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, testQueueIsBounded)
}

func testQueueIsBounded(t *testing.T) {
	release, began := make(chan struct{}), make(chan struct{})
	s, tmpl := newMemory().serve(t, "h1", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		began <- struct{}{}
		<-release
	}))
	tr := newTransport(t, transport.Config{Template: slowTo("127.0.0.1", tmpl), MaxConnsPerHost: 1, MaxWaitersPerHost: 1, WaitTimeout: 5 * time.Second})
	client := &http.Client{Transport: tr}
	var wg sync.WaitGroup
	wg.Go(func() { mustGet(t, client, s.URL) })
	<-began
	var waiting sync.WaitGroup
	waiting.Go(func() {
		_, err := client.Get(s.URL)
		var e *pool.WaitError
		var ne net.Error
		if !errors.As(err, &e) || e.Open != 1 || e.Waited != 5*time.Second || !errors.As(err, &ne) || !ne.Timeout() {
			t.Errorf("got %v, want a *pool.WaitError with its figures, and a timeout", err)
		}
	})
	synctest.Wait()
	if got := tr.Stats().Waiting; got != 1 {
		t.Errorf("got %d waiting, want 1", got)
	}
	_, err := client.Get(s.URL)
	var full *pool.QueueFullError
	if !errors.As(err, &full) || full.Limit != 1 || !full.PerKey || full.Waiting != 1 {
		t.Errorf("got %v, want a *pool.QueueFullError with its figures", err)
	}
	waiting.Wait()
	if got := tr.Stats(); got.Waited != 1 || got.WaitTime != time.Second { // for the dial; the others got no connection
		t.Errorf("got %d waits of %v in all, want 1 of 1 s", got.Waited, got.WaitTime)
	}
	close(release)
	wg.Wait()
}

// All ports are in use by idle connections that the request may not travel on. They
// are reset, since a TIME_WAIT would keep the port.
func TestIdleConnectionsMakeRoomWhenPortsRunOut(t *testing.T) {
	if !netlab.Inside() {
		lab := netlab.New(t)
		lab.Sysctl(lab.Client, "net/ipv4/ip_local_port_range", "20000 20003")
		lab.Rerun(t, lab.Client)
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:30000")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })}
	go server.Serve(l)
	defer server.Close()
	// One address, four ports; tenants do not share connections.
	type tenant struct{}
	tr := newTransport(t, transport.Config{
		Dialer:    &dialer.Dialer{},
		Partition: func(r *http.Request) string { return fmt.Sprint(r.Context().Value(tenant{})) },
	})
	client := &http.Client{Transport: tr}
	for i := range 12 {
		req, err := http.NewRequestWithContext(context.WithValue(t.Context(), tenant{}, i), http.MethodGet, "http://"+l.Addr().String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}
