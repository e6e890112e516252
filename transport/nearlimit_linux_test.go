package transport_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/internal/checks/mustrun"
	"github.com/stayopen-go/stayopen/internal/netlab"
	"github.com/stayopen-go/stayopen/transport"
)

// nearLimit is a load whose requests come when the server is about to close the
// connections that they travel on: the idle time before each is the server's
// limit, give or take aim. Packets take farDelay in either direction.
type nearLimit struct {
	server          func(t *testing.T, dir string) (stop func())
	limit           time.Duration // zero: what the server is seen to do
	hinted          bool          // the server says its limit in Keep-Alive
	workers, rounds int           // every worker sends a request, and then one near the limit in each round
}

const (
	farDelay = 20 * time.Millisecond
	aim      = 40 * time.Millisecond
	farPort  = 8080
	farLog   = "requests.log"

	// mostLessons is how many connections of a server without a hint may end
	// until it is known when it closes them.
	mostLessons = 20
)

func TestRequestsNearTheIdleLimitOfNginxSurviveIt(t *testing.T) {
	t.Parallel()
	nearLimit{server: startFarNginx, limit: 3 * time.Second, workers: 500, rounds: 4}.test(t)
}

func TestRequestsNearTheIdleLimitOfNodeSurviveIt(t *testing.T) {
	t.Parallel()
	nearLimit{server: startNode, hinted: true, workers: 1000, rounds: 2}.test(t)
}

func (l nearLimit) test(t *testing.T) {
	switch {
	case !netlab.Inside():
		lab := netlab.New(t)
		lab.Far(farDelay)
		dir := "LIMIT_DIR=" + t.TempDir()
		lab.Start(t, lab.Server, dir, "LIMIT_ROLE=server")
		lab.Rerun(t, lab.Client, dir)
	case os.Getenv("LIMIT_ROLE") == "server":
		stop := l.server(t, os.Getenv("LIMIT_DIR"))
		netlab.Hold("")
		stop()
	default:
		l.compare(t)
	}
}

// compare sends the same requests at the same times through stayopen, once it has
// learned, and through http.Transport.
func (l nearLimit) compare(t *testing.T) {
	if l.limit == 0 {
		l.limit = farLimit(t)
	}
	m := newMeter(t)
	ours := newTransport(t, transport.Config{
		Template:      farTemplate(),
		MeterProvider: m.provider,
		// Otherwise a worker would find a connection that another has used just
		// now. For http.Transport every worker has a name for the server instead.
		Partition: func(r *http.Request) string { return r.Header.Get("Worker") },
	})
	learned := func() bool { return m.closes(t)["idle_timeout local"] > 0 }
	lessons := raced{answered: make(map[string]bool)}
	closes := uint64(0)
	if !l.hinted {
		lessons = l.learn(ours, learned)
		closes = ours.Stats().Closed
		if closes > mostLessons || !learned() {
			t.Errorf("after %d closes the limit is known: %v, want true after at most %d", closes, learned(), mostLessons)
		}
	}
	theirs := farTemplate()
	defer theirs.CloseIdleConnections()
	var seen, base raced
	var both sync.WaitGroup
	both.Go(func() { seen = l.run("ours", ours) })
	both.Go(func() { base = l.run("theirs", theirs) })
	both.Wait()
	arrived := farRequests(t)
	l.print(t, ours, m, closes, arrived, []nearRow{{"stayopen, learning", lessons}, {"stayopen", seen}, {"http.Transport", base}})
	l.judge(t, lessons, seen, base, arrived)
}

func (l nearLimit) judge(t *testing.T, lessons, seen, base raced, arrived map[string]int) {
	t.Helper()
	if failed := lessons.getsFailed + seen.getsFailed; failed > 0 {
		t.Errorf("%d GETs and POSTs with an Idempotency-Key failed, want none", failed)
	}
	if unsaid := lessons.unsaid + seen.unsaid; unsaid > 0 {
		t.Errorf("%d POSTs failed without saying that they may have been sent, want none", unsaid)
	}
	if near := l.workers * l.rounds; near < 2000 || seen.requests != near+l.workers {
		t.Errorf("%d requests of which %d were near the limit, want 2000 of these at least", seen.requests, near)
	}
	if base.errors() < 20 {
		t.Errorf("http.Transport failed %d requests, want 20 at least: the run is void", base.errors())
	}
	if 20*seen.errors() > base.errors() {
		t.Errorf("%d requests failed, and %d of http.Transport's: want a twentieth of that at most", seen.errors(), base.errors())
	}
	for path, times := range arrived {
		if strings.HasPrefix(path, "/post/") && times > 1 {
			t.Errorf("POST %s arrived %d times, want once", path, times)
		}
	}
	for path := range seen.answered {
		if arrived[path] == 0 {
			t.Errorf("%s was answered, and is not in the server's log", path)
		}
	}
}

func (o raced) errors() int { return o.getsFailed + o.maybeSent + o.unsaid }

// nearRow is a line of the table.
type nearRow struct {
	who string
	raced
}

func (l nearLimit) print(t *testing.T, ours *transport.Transport, m *meter, closes uint64, arrived map[string]int, rows []nearRow) {
	t.Helper()
	var table strings.Builder
	fmt.Fprintf(&table, "\n%-22s %9s %14s %15s %16s\n", "idle for "+l.limit.Round(10*time.Millisecond).String()+" ± "+aim.String(), "requests", "GETs failed *)", "POSTs that may", "POSTs that fail")
	fmt.Fprintf(&table, "%-22s %9s %14s %15s %16s\n", "", "", "", "have been sent", "and do not say")
	for _, r := range rows {
		fmt.Fprintf(&table, "%-22s %9d %14d %15d %16d\n", r.who, r.requests, r.getsFailed, r.maybeSent, r.unsaid)
	}
	again := make(map[string]int)
	for path, times := range arrived {
		kind := strings.Split(path, "/")[1]
		if times > 1 {
			again[kind]++
		}
	}
	fmt.Fprintf(&table, "*) and POSTs with an Idempotency-Key. Arrived twice: %d POSTs, %d GETs, %d POSTs with a key.\n", again["post"], again["get"], again["key"])
	st := ours.Stats()
	fmt.Fprintf(&table, "stayopen: %d closes until the limit was known; in all %d opened, %d retries, closes %v", closes, st.Opened, st.Retries, m.closes(t))
	t.Log(table.String())
}

// run has all workers send their requests.
func (l nearLimit) run(who string, rt http.RoundTripper) raced {
	var (
		mu   sync.Mutex
		seen = raced{answered: make(map[string]bool)}
		all  sync.WaitGroup
	)
	for w := range l.workers {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(w))) // the same for both
			<-time.After(time.Duration(rng.Int64N(int64(l.limit))))
			for round := range l.rounds + 1 {
				if round > 0 {
					<-time.After(l.idle(rng))
				}
				kind := raceKinds[rng.IntN(len(raceKinds))]
				path := fmt.Sprintf("/%s/%s/%d/%d", kind, who, w, round)
				status, err := farSend(rt, kind, w, path)
				mu.Lock()
				seen.add(kind, path, status, err)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return seen
}

// idle is how long a worker waits for the limit.
func (l nearLimit) idle(rng *rand.Rand) time.Duration {
	return l.limit - aim + time.Duration(rng.Int64N(int64(2*aim)))
}

// learn sends such requests from three workers until it is known when the server
// closes.
func (l nearLimit) learn(rt http.RoundTripper, known func() bool) raced {
	var (
		mu   sync.Mutex // guards what follows, and known's collecting
		seen = raced{answered: make(map[string]bool)}
		all  sync.WaitGroup
	)
	for w := range 3 {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(2, uint64(w)))
			<-time.After(time.Duration(w) * l.limit / 3)
			for n := range mostLessons {
				kind := raceKinds[rng.IntN(len(raceKinds))]
				path := fmt.Sprintf("/%s/learning/%d/%d", kind, w, n)
				status, err := farSend(rt, kind, w, path)
				mu.Lock()
				seen.add(kind, path, status, err)
				done := known()
				mu.Unlock()
				if done {
					return
				}
				<-time.After(l.idle(rng))
			}
		})
	}
	all.Wait()
	return seen
}

func farSend(rt http.RoundTripper, kind string, worker int, path string) (status int, err error) {
	method, body := "GET", io.Reader(nil)
	if kind != "get" {
		method, body = "POST", strings.NewReader("body")
	}
	host := "server.test"
	if _, theirs := rt.(*http.Transport); theirs {
		host = strconv.Itoa(worker) + "." + host
	}
	req, err := http.NewRequest(method, "http://"+host+path, body)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Worker", strconv.Itoa(worker))
	if kind == "key" {
		req.Header.Set("Idempotency-Key", path)
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// farTemplate finds the server of the lab under any name, and keeps what it has.
func farTemplate() *http.Transport {
	server := netip.AddrPortFrom(netlab.FarServerAddr, farPort).String()
	return &http.Transport{
		MaxIdleConnsPerHost: 1000,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, server)
		},
	}
}

// farLimit is after how much time the server closes an idle connection.
func farLimit(t *testing.T) time.Duration {
	t.Helper()
	c, err := net.Dial("tcp", netip.AddrPortFrom(netlab.FarServerAddr, farPort).String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "HEAD /probe HTTP/1.1\r\nHost: server.test\r\n\r\n")
	if _, err := c.Read(make([]byte, 4096)); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	io.Copy(io.Discard, c)
	return time.Since(start)
}

// farRequests is how often each path is in the server's log.
func farRequests(t *testing.T) map[string]int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(os.Getenv("LIMIT_DIR"), farLog))
	if err != nil {
		t.Fatal(err)
	}
	arrived := make(map[string]int)
	for line := range strings.Lines(string(b)) {
		arrived[strings.TrimSpace(line)]++
	}
	return arrived
}

const farNginxConf = `
daemon off;
worker_processes 1;
worker_rlimit_nofile 8192;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log;
events { worker_connections 4096; }
http {
	log_format path "$request_uri";
	access_log %[1]s/` + farLog + ` path;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	keepalive_requests 100;
	keepalive_timeout 3s;
	server {
		listen %[2]d backlog=4096;
		location / { return 200 "hello"; }
	}
}
`

func startFarNginx(t *testing.T, dir string) (stop func()) {
	t.Helper()
	path, err := exec.LookPath("nginx")
	if err != nil {
		if path = "/usr/sbin/nginx"; !isFile(path) {
			mustrun.Skipf(t, "needs nginx (Debian's package nginx)")
		}
	}
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, farNginxConf, dir, farPort), 0o600); err != nil {
		t.Fatal(err)
	}
	return startFar(t, exec.Command(path, "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", conf))
}

// nodeServer is Node's own server with its default timeout. It says that it closes
// what is idle for 5 s, and does so then or, of late, a second after.
const nodeServer = `
const fs = require('fs')
const log = fs.openSync(process.argv[1], 'a')
require('http').createServer((request, response) => {
	fs.writeSync(log, request.url + '\n')
	request.resume().on('end', () => response.end('hello'))
}).listen(Number(process.argv[2]), '0.0.0.0', 4096)
`

func startNode(t *testing.T, dir string) (stop func()) {
	t.Helper()
	path, err := exec.LookPath("node")
	if err != nil {
		mustrun.Skipf(t, "needs Node.js (Debian's package nodejs)")
	}
	return startFar(t, exec.Command(path, "-e", nodeServer, filepath.Join(dir, farLog), strconv.Itoa(farPort)))
}

// startFar runs the server until stop is called, and returns when it listens.
func startFar(t *testing.T, cmd *exec.Cmd) (stop func()) {
	t.Helper()
	out := new(strings.Builder)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // ends with the server
	addr := netip.AddrPortFrom(netlab.ServerAddr, farPort).String()
	await(t, "the server to listen", func() bool {
		select {
		case err := <-ended:
			t.Fatalf("%s: %v\n%s", cmd.Path, err, out)
		default:
		}
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return func() {
		cmd.Process.Signal(os.Interrupt)
		<-ended
	}
}
