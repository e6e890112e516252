// Package stayopen_test compares stayopen with net/http:
//
//	go test -bench . -count 6 . > new.txt
//
// The server runs in a second process, so allocations are the client's alone,
// and counts the connections it accepts, so no client is asked about itself.
package stayopen_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/stayopen-go/stayopen/transport"
)

// BenchmarkGet sends the same small GET through http.DefaultTransport, a clone
// of it that keeps as many connections as the load can need, and stayopen.
//
// An operation is one request. With concurrency=N, N workers ask as soon as
// they are answered; with burst=N, N requests begin together, and the next N
// after the last answer. conns/1000req are the connections opened for 1,000
// requests. timeout is http.Client.Timeout: for a RoundTripper that is not
// net/http's own, the client then sets Request.Cancel as well.
func BenchmarkGet(b *testing.B) {
	for _, l := range []benchLoad{
		{"concurrency", 1, "/", keepBusy},
		{"concurrency", 64, "/", keepBusy},
		{"concurrency", 256, "/", keepBusy},
		// An answer that takes a moment makes the requests of a burst overlap.
		{"burst", 200, "/slow", burst},
	} {
		for _, timeout := range []time.Duration{0, 10 * time.Second} {
			for _, c := range benchClients {
				b.Run(fmt.Sprintf("transport=%s/%s=%d/timeout=%v", c.name, l.name, l.size, timeout), func(b *testing.B) {
					benchmark(b, l, c, timeout)
				})
			}
		}
	}
}

// benchLoad is a way to send b.N requests.
type benchLoad struct {
	name string
	size int
	path string
	send func(n, size int, get func() error) error
}

func benchmark(b *testing.B, l benchLoad, c benchClient, timeout time.Duration) {
	// A port of its own for every run: local ports used up by one client would
	// be missing for the next.
	port := openPort(b)
	rt, stop := c.open(b)
	defer stop()
	get := getter(&http.Client{Transport: rt, Timeout: timeout}, port.url+l.path)
	b.ReportAllocs()
	b.ResetTimer()
	if err := l.send(b.N, l.size, get); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	b.ReportMetric(float64(port.accepted(b))*1000/float64(b.N), "conns/1000req")
}

// keepBusy sends n requests from size workers. Neither b.Loop, which is one
// worker, nor b.RunParallel, whose workers are multiples of GOMAXPROCS, can.
func keepBusy(n, size int, get func() error) error {
	var left atomic.Int64
	left.Store(int64(n))
	var workers sync.WaitGroup
	errs := make([]error, size)
	for i := range size {
		workers.Go(func() {
			for left.Add(-1) >= 0 && errs[i] == nil {
				errs[i] = get()
			}
		})
	}
	workers.Wait()
	return errors.Join(errs...)
}

// burst sends n requests, size at a time.
func burst(n, size int, get func() error) error {
	errs := make([]error, size)
	for ; n > 0; n -= size {
		var requests sync.WaitGroup
		for i := range min(n, size) {
			requests.Go(func() { errs[i] = get() })
		}
		requests.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
	}
	return nil
}

func getter(c *http.Client, url string) func() error {
	return func() error {
		resp, err := c.Get(url)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		return errors.Join(err, resp.Body.Close())
	}
}

type benchClient struct {
	name string
	open func(testing.TB) (rt http.RoundTripper, stop func())
}

var benchClients = []benchClient{
	{"default", func(testing.TB) (http.RoundTripper, func()) {
		t := http.DefaultTransport.(*http.Transport)
		return t, t.CloseIdleConnections
	}},
	{"tuned", func(testing.TB) (http.RoundTripper, func()) {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, 256
		return t, t.CloseIdleConnections
	}},
	{"stayopen", func(tb testing.TB) (http.RoundTripper, func()) {
		t, err := transport.New(transport.Config{Name: "stayopen"})
		if err != nil {
			tb.Fatal(err)
		}
		return t, func() {
			if err := t.Close(); err != nil {
				tb.Error(err)
			}
		}
	}},
}

func TestTheServerCountsWhatStayopenOpens(t *testing.T) {
	for _, c := range benchClients {
		t.Run(c.name, func(t *testing.T) {
			port := openPort(t)
			rt, stop := c.open(t)
			defer stop()
			if err := burst(100, 20, getter(&http.Client{Transport: rt}, port.url+"/slow")); err != nil {
				t.Fatal(err)
			}
			if own, ok := rt.(*transport.Transport); ok {
				agree(t, port, own)
			}
			accepted := port.accepted(t)
			if limit := 20; c.name != "default" && accepted > limit {
				t.Errorf("got %d connections for bursts of 20, want at most %d: all of them are kept", accepted, limit)
			}
			if c.name == "default" && accepted <= 20 {
				t.Errorf("got %d connections for 5 bursts of 20, want more than 20: two are kept", accepted)
			}
		})
	}
}

// agree waits until the server has accepted what own has opened. A connection
// that nobody waited for any more may still be on its way.
func agree(t *testing.T, p port, own *transport.Transport) {
	t.Helper()
	for start := time.Now(); ; {
		opened, accepted := own.Stats().Opened, p.accepted(t)
		if opened == uint64(accepted) {
			return
		}
		if time.Since(start) > time.Minute {
			t.Fatalf("stayopen says that it opened %d connections, the server accepted %d", opened, accepted)
		}
	}
}

func TestEveryRequestOfALoadIsSentOnce(t *testing.T) {
	for name, send := range map[string]func(n, size int, get func() error) error{"keepBusy": keepBusy, "burst": burst} {
		for _, n := range []int{0, 1, 7, 64, 65, 1000} {
			var sent atomic.Int64
			if err := send(n, 64, func() error { sent.Add(1); return nil }); err != nil {
				t.Fatal(err)
			}
			if got := sent.Load(); got != int64(n) {
				t.Errorf("%s of %d: %d requests were sent", name, n, got)
			}
		}
		broken := errors.New("broken")
		if err := send(10, 4, func() error { return broken }); !errors.Is(err, broken) {
			t.Errorf("%s: got error %v, want that of a request", name, err)
		}
	}
}

// serverEnv, when set, makes the test binary the server.
const serverEnv = "STAYOPEN_BENCH_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(serverEnv) != "" {
		serve(os.Stdin, os.Stdout)
		return
	}
	if err := server.start(); err != nil {
		fmt.Fprintln(os.Stderr, "cannot start the server:", err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		server.stop()
		os.Exit(code)
	}))
}

// serve obeys orders, a line each, until they end, which is when the parent
// does: "open" makes a server on a new port and answers with its address,
// "count ADDRESS" answers with the connections accepted there, and "close
// ADDRESS" ends it.
func serve(orders io.Reader, answers io.Writer) {
	servers := map[string]*countingServer{}
	for lines := bufio.NewScanner(orders); lines.Scan(); {
		order, addr, _ := strings.Cut(lines.Text(), " ")
		switch order {
		case "open":
			s, err := openCountingServer()
			if err != nil {
				fmt.Fprintln(answers, "error:", err)
				continue
			}
			addr = s.Addr().String()
			servers[addr] = s
			fmt.Fprintln(answers, addr)
		case "count":
			fmt.Fprintln(answers, servers[addr].accepts.Load())
		case "close":
			servers[addr].http.Close()
			delete(servers, addr)
			fmt.Fprintln(answers, "closed")
		}
	}
}

// countingServer is an HTTP server on a port of its own and its listener.
type countingServer struct {
	net.Listener
	http    *http.Server
	accepts atomic.Int64
}

func openCountingServer() (*countingServer, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &countingServer{Listener: l, http: &http.Server{Handler: http.HandlerFunc(answer)}}
	// Ends with s.http.Close.
	go s.http.Serve(s)
	return s, nil
}

func (s *countingServer) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err == nil {
		s.accepts.Add(1)
	}
	return c, err
}

func answer(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/slow" {
		<-time.After(3 * time.Millisecond)
	}
	w.Header().Set("Content-Type", "text/plain")
	io.WriteString(w, "stayopen")
}

// server is started by TestMain, before the first test.
var server serverProcess

// serverProcess is the server as its parent sees it.
type serverProcess struct {
	cmd     *exec.Cmd
	orders  io.WriteCloser
	answers *bufio.Scanner
}

func (p *serverProcess) start() error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	p.cmd = exec.Command(exe)
	p.cmd.Env = append(os.Environ(), serverEnv+"=1")
	p.cmd.Stderr = os.Stderr
	if p.orders, err = p.cmd.StdinPipe(); err != nil {
		return err
	}
	answers, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	p.answers = bufio.NewScanner(answers)
	return p.cmd.Start()
}

func (p *serverProcess) stop() {
	p.orders.Close()
	p.cmd.Wait()
}

func (p *serverProcess) ask(tb testing.TB, order string) string {
	tb.Helper()
	if _, err := fmt.Fprintln(p.orders, order); err != nil {
		tb.Fatalf("order %q: %v", order, err)
	}
	if !p.answers.Scan() {
		tb.Fatalf("order %q: the server is gone: %v", order, p.answers.Err())
	}
	if err, failed := strings.CutPrefix(p.answers.Text(), "error: "); failed {
		tb.Fatalf("order %q: %s", order, err)
	}
	return p.answers.Text()
}

// port is one of the process's servers.
type port struct {
	addr string
	url  string
}

// openPort makes a server, which ends with the test or benchmark.
func openPort(tb testing.TB) port {
	tb.Helper()
	addr := server.ask(tb, "open")
	tb.Cleanup(func() { server.ask(tb, "close "+addr) })
	return port{addr: addr, url: "http://" + addr}
}

// accepted returns the number of connections that the server accepted.
func (p port) accepted(tb testing.TB) int {
	tb.Helper()
	var n int
	if _, err := fmt.Sscan(server.ask(tb, "count "+p.addr), &n); err != nil {
		tb.Fatal(err)
	}
	return n
}

// BenchmarkBursts sends 20 bursts of 200 requests, 50 ms apart, through a
// http.Transport that keeps as many connections as the load can need and through
// stayopen, in turns, over TCP and TLS, with connecting as fast as it is and with
// 5 ms more:
//
//	go test -run '^$' -bench Bursts -benchtime 7x -v .
//
// It prints what each opened, and the ratio of their p99s. The server is in the
// same process: its share of a TLS handshake is paid here as well.
func BenchmarkBursts(b *testing.B) {
	for _, secure := range []bool{false, true} {
		for _, delay := range []time.Duration{0, 5 * time.Millisecond} {
			b.Run(fmt.Sprintf("tls=%v/delay=%v", secure, delay), func(b *testing.B) {
				var opened [2][]int64
				var ratios []float64
				for b.Loop() {
					theirs, late := burstsOnce(b, secure, delay, false)
					ours, late2 := burstsOnce(b, secure, delay, true)
					opened[0], opened[1] = append(opened[0], theirs), append(opened[1], ours)
					ratios = append(ratios, float64(late2)/float64(late))
				}
				slices.Sort(ratios)
				slices.Sort(opened[0])
				slices.Sort(opened[1])
				mid := len(ratios) / 2
				b.Logf("%d runs: opened %d to %d (http.Transport), %d to %d (stayopen); p99 ratio %.2f (%.2f to %.2f)", len(ratios),
					opened[0][0], opened[0][len(ratios)-1], opened[1][0], opened[1][len(ratios)-1], ratios[mid], ratios[0], ratios[len(ratios)-1])
				b.ReportMetric(float64(opened[0][mid]), "opened-http")
				b.ReportMetric(float64(opened[1][mid]), "opened")
				b.ReportMetric(ratios[mid], "p99-ratio")
			})
		}
	}
}

// burstsOnce returns how many connections the server accepted, and the p99 of the
// requests' times.
func burstsOnce(b *testing.B, secure bool, delay time.Duration, ours bool) (opened int64, p99 time.Duration) {
	var accepted atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-time.After(2 * time.Millisecond)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			accepted.Add(1)
		}
	}
	tmpl := &http.Transport{MaxIdleConnsPerHost: 256, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		<-time.After(delay)
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}
	if secure {
		s.StartTLS()
		tmpl.TLSClientConfig = s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	} else {
		s.Start()
	}
	defer s.Close()
	var rt http.RoundTripper = tmpl
	if ours {
		t, err := transport.New(transport.Config{Template: tmpl})
		if err != nil {
			b.Fatal(err)
		}
		defer t.Close()
		rt = t
	} else {
		defer tmpl.CloseIdleConnections()
	}
	get := getter(&http.Client{Transport: rt}, s.URL)
	var mu sync.Mutex
	var times []time.Duration
	for range 20 {
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() {
				start := time.Now()
				if err := get(); err != nil {
					b.Error(err)
				}
				took := time.Since(start)
				mu.Lock()
				defer mu.Unlock()
				times = append(times, took)
			})
		}
		wg.Wait()
		<-time.After(50 * time.Millisecond)
	}
	slices.Sort(times)
	return accepted.Load(), times[len(times)*99/100]
}
