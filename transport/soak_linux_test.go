package transport_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/internal/netlab"
	"github.com/stayopen-go/stayopen/transport"
)

var soakFor = flag.Duration("soak", 10*time.Second, "how long TestSoak's load lasts")

// TestSoak puts a mixed load on three transports at once over a veth pair, one
// of which has far too few local ports, and holds every figure of theirs against
// who counted the same: their callers, the servers, and the kernel.
//
//	go test ./transport -run TestSoak -soak 5m -timeout 20m -v
func TestSoak(t *testing.T) {
	switch {
	case !netlab.Inside():
		if testing.Short() {
			t.Skip("takes some ten seconds")
		}
		lab := netlab.New(t)
		lab.Sysctl(lab.Client, "net/ipv4/tcp_tw_reuse", "0")
		lab.Sysctl(lab.Client, "net/ipv4/ip_local_port_range", "20000 59999")
		dir := t.TempDir()
		urls := lab.Start(t, lab.Server, "SOAK_ROLE=server", "SOAK_DIR="+dir)
		lab.Rerun(t, lab.Client, "SOAK_URLS="+urls, "SOAK_DIR="+dir, "SOAK_FOR="+soakFor.String())
	case os.Getenv("SOAK_ROLE") == "server":
		soakServers(t)
	default:
		soak(t)
	}
}

// soaked are the transports of the soak.
var soaked = []string{"first", "second", "short of ports"}

// soakServers runs servers of its own for each transport, so that what they count
// is that one's, and answers who asks for it.
func soakServers(t *testing.T) {
	all, urls := make([]*mixedServers, len(soaked)), make([]map[string]string, len(soaked)+1)
	for i := range soaked {
		all[i] = serveMixed(t, netlab.ServerAddr.String())
		urls[i] = all[i].urls()
	}
	l, err := net.Listen("tcp", net.JoinHostPort(netlab.ServerAddr.String(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	counts := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var sums []truth
		for _, s := range all {
			sum := s.truth()
			sum.Running = s.running.Load()
			sums = append(sums, sum)
		}
		json.NewEncoder(w).Encode(sums)
	})}
	var serving sync.WaitGroup
	serving.Go(func() { counts.Serve(l) }) // until Close
	defer serving.Wait()
	defer counts.Close()
	urls[len(soaked)] = map[string]string{"counts": "http://" + l.Addr().String()}
	message, err := json.Marshal(urls)
	if err != nil {
		t.Fatal(err)
	}
	roots := peerIdentity().cert.Certificate
	if err := os.WriteFile(filepath.Join(os.Getenv("SOAK_DIR"), "cert"), roots[0], 0o600); err != nil {
		t.Fatal(err)
	}
	netlab.Hold(string(message))
}

// soakRun is one of the transports with its load.
type soakRun struct {
	name  string
	load  *mixedLoad
	tr    *transport.Transport
	meter *meter
	sent  uint64
}

func soak(t *testing.T) {
	var urls []map[string]string
	if err := json.Unmarshal([]byte(os.Getenv("SOAK_URLS")), &urls); err != nil {
		t.Fatal(err)
	}
	howLong, err := time.ParseDuration(os.Getenv("SOAK_FOR"))
	if err != nil {
		t.Fatal(err)
	}
	before := tcpCounters(t)
	ctx, cancel := context.WithCancel(t.Context())
	waits := newTimeWaitCensus()
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { waits.watch(ctx, t) })
	end := time.Now().Add(howLong)
	var runs []*soakRun
	var loads sync.WaitGroup
	for i, name := range soaked {
		r := newSoakRun(t, name, urls[i])
		runs = append(runs, r)
		loads.Go(func() { r.until(end) })
	}
	loads.Wait()
	var truths []truth
	await(t, "everything to be at rest", func() bool {
		truths = countsOf(t, urls[len(soaked)]["counts"])
		for i, r := range runs {
			st := r.tr.Stats()
			if truths[i].Running > 0 || st.Active > 0 || st.Waiting > 0 || st.Dialing > 0 || uint64(st.Open)+st.Closed != st.Opened || truths[i].Accepts < st.Opened {
				return false
			}
		}
		return true
	})
	var table soakTable
	for i, r := range runs {
		st, metrics := atOnce(t, r.tr, r.meter)
		checkMeter(t, metrics, st)
		table.transport(r, st, truths[i])
		t.Logf("%s: opened because %v", r.name, st.OpenedBecause)
	}
	open := func() (n uint64) {
		for _, r := range runs {
			n += uint64(r.tr.Stats().Open)
		}
		return n
	}
	await(t, "the sockets that are open to be those that are counted", func() bool { return uint64(established(t, runs)) == open() })
	table.host(t, runs, before, waits)
	t.Log(table.String())
	for _, wrong := range table.wrong {
		t.Error(wrong)
	}
}

func newSoakRun(t *testing.T, name string, urls map[string]string) *soakRun {
	t.Helper()
	r := &soakRun{name: name, load: mixedLoadFor(urls), meter: newMeter(t)}
	cert, err := os.ReadFile(filepath.Join(os.Getenv("SOAK_DIR"), "cert"))
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &http.Transport{ExpectContinueTimeout: time.Minute, ForceAttemptHTTP2: true}
	tmpl.TLSClientConfig = &tls.Config{
		InsecureSkipVerify: true, // what follows is stricter
		CurvePreferences:   peerCurves,
		VerifyConnection: func(state tls.ConnectionState) error {
			if !bytes.Equal(state.PeerCertificates[0].Raw, cert) {
				return errors.New("not the server's certificate")
			}
			return nil
		},
	}
	cfg := transport.Config{Name: name, Template: tmpl, MeterProvider: r.meter.provider}
	if name == "short of ports" {
		cfg.Dialer = &dialer.Dialer{
			Sources:   []netip.Prefix{netip.PrefixFrom(netlab.ClientAddr, 32)},
			PortRange: dialer.PortRange{Lo: 50000, Hi: 50007}, // towards each server, for 64 callers
		}
	}
	r.tr = newTransport(t, cfg)
	return r
}

// until sends until the time has come.
func (r *soakRun) until(end time.Time) {
	for time.Now().Before(end) {
		const n = 600
		r.load.run(r.tr, n)
		r.sent += n
	}
}

func countsOf(t *testing.T, url string) (truths []truth) {
	t.Helper()
	tr := &http.Transport{DisableKeepAlives: true}
	body, _, err := get(&http.Client{Transport: tr}, url)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(body), &truths); err != nil {
		t.Fatal(err)
	}
	countCalls++
	return truths
}

// countCalls is how often the counts were asked for, over a connection each.
var countCalls uint64

// ofRuns tells whether a socket of the client's belongs to one of the loads.
func ofRuns(runs []*soakRun) func(netlab.Socket) bool {
	ours := make(map[string]bool)
	for _, r := range runs {
		for _, u := range r.load.urls {
			_, host, _ := strings.Cut(u, "://")
			ours[host] = true
		}
	}
	return func(s netlab.Socket) bool {
		return ours[net.JoinHostPort(s.Remote.Addr().Unmap().String(), strconv.Itoa(int(s.Remote.Port())))]
	}
}

func established(t *testing.T, runs []*soakRun) int {
	ours := ofRuns(runs)
	return netlab.Count(t, func(s netlab.Socket) bool { return s.State == netlab.Established && ours(s) })
}

// soakTable is every figure beside that of who counted the same.
type soakTable struct {
	strings.Builder
	wrong []string
}

// row compares: got may be more than want by so many, never less.
func (b *soakTable) row(of, what string, got, want, over uint64) {
	verdict := "the same"
	switch {
	case got == want:
	case got > want && got-want <= over:
		verdict = fmt.Sprintf("%d more, %d allowed", got-want, over)
	default:
		verdict = "WRONG"
		b.wrong = append(b.wrong, fmt.Sprintf("%s: %s: got %d, want %d", of, what, got, want))
	}
	if b.Len() == 0 {
		fmt.Fprintf(b, "\n%-16s %-64s %10s %10s\n", "", "", "stayopen", "they")
	}
	fmt.Fprintf(b, "%-16s %-64s %10d %10d  %s\n", of, what, got, want, verdict)
}

func (b *soakTable) transport(r *soakRun, st transport.Stats, truth truth) {
	l := r.load
	b.row(r.name, "Requests: calls of RoundTrip", st.Requests, r.sent, 0)
	b.row(r.name, "Failed: errors returned by RoundTrip", st.Failed, l.failed(), 0)
	b.row(r.name, "Opened: connections that the servers accepted", st.Opened, truth.Accepts, 0)
	b.row(r.name, "Served: connections with a request that was answered", st.Served, truth.Served, 0)
	b.row(r.name, "Exchanges: answers of the servers", st.Exchanges, truth.Answers, 0)
	b.row(r.name, "ClosesAvoided: answers less connections with one", st.ClosesAvoided, truth.Answers-truth.Served, 0)
	b.row(r.name, "TLSResumed: sessions that the servers resumed", st.TLSResumed, truth.Resumed, 0)
	b.row(r.name, "TLSHandshakes: those that the servers agreed to", st.TLSHandshakes, truth.Handshakes, 0)
	b.row(r.name, "Opened: Served, Wasted and those that answered nobody", st.Opened, st.Served+st.Wasted+l.barren(), 0)
	var because uint64
	for _, n := range st.OpenedBecause.All() {
		because += n
	}
	b.row(r.name, "OpenedBecause, added up: Opened", because, st.Opened, 0)
	b.row(r.name, "Open and Closed: Opened", uint64(st.Open)+st.Closed, st.Opened, 0)
}

func (b *soakTable) host(t *testing.T, runs []*soakRun, before map[string]uint64, waits *timeWaitCensus) {
	var sum struct {
		transport.Stats
		secret, refused uint64
	}
	for _, r := range runs {
		st := r.tr.Stats()
		sum.secret += r.load.secret.Load()
		for _, p := range points(t, r.meter.collect(t)["stayopen.dials.failed"]) {
			if attr(p.Attributes, "error.type") == "ECONNREFUSED" {
				sum.refused += uint64(p.Value)
			}
		}
		sum.Opened += st.Opened
		sum.TimeWaits += st.TimeWaits
		sum.Open += st.Open
	}
	now := tcpCounters(t)
	refused := now["AttemptFails"] - before["AttemptFails"]
	b.row("all", "Opened: the kernel's ActiveOpens less AttemptFails", sum.Opened, now["ActiveOpens"]-before["ActiveOpens"]-refused-countCalls, 0)
	b.row("all", "Open: sockets in ESTABLISHED", uint64(sum.Open), uint64(established(t, runs)), 0)
	// TimeWaits is an upper bound. Of crossing closes 7 % may be the peer's alone.
	// A peer that answers the end of TLS on a connection that is closed, as after
	// an upgrade, gets a RST, which ends the TIME_WAIT at once.
	seen := uint64(waits.count(t, ofRuns(runs)))
	b.row("all", "TimeWaits: sockets seen in TIME_WAIT", sum.TimeWaits, seen, seen*7/100+sum.secret)
	b.row("all", "dials.failed, refused: the kernel's AttemptFails", sum.refused, refused, 0)
	for _, r := range runs {
		for _, kind := range slices.Sorted(maps.Keys(r.load.unexpected)) {
			b.wrong = append(b.wrong, fmt.Sprintf("%s: %s: %v", r.name, kind, r.load.unexpected[kind]))
		}
	}
	waits.mu.Lock()
	full := waits.full
	waits.mu.Unlock()
	if full < 0.95 {
		b.wrong = append(b.wrong, fmt.Sprintf("at most %.2f of the few ports were in use: the run is void", full))
	}
	fmt.Fprintf(b, "%.2f of the few ports were in use, and %d requests failed for want of one\n", full, runs[len(runs)-1].load.exhausted)
}

// tcpCounters are the kernel's counters of this namespace.
func tcpCounters(t *testing.T) map[string]uint64 {
	t.Helper()
	text, err := os.ReadFile("/proc/net/snmp")
	if err != nil {
		t.Fatal(err)
	}
	counters := make(map[string]uint64)
	var names []string
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		switch {
		case fields[0] != "Tcp:":
		case names == nil:
			names = fields
		default:
			for i, name := range names[1:] {
				counters[name], _ = strconv.ParseUint(fields[i+1], 10, 64) // MaxConn is -1
			}
		}
	}
	return counters
}

// timeWaitCensus knows every socket that was in TIME_WAIT while it watched. One
// lasts for a minute, so that it is met many times; that another has come in its
// place is seen by the time it has left.
type timeWaitCensus struct {
	mu   sync.Mutex // guards what follows
	ends map[[2]string]time.Time
	seen map[string]int // how many, by the remote address
	full float64        // the largest share of a source's ports in use
}

func newTimeWaitCensus() *timeWaitCensus {
	return &timeWaitCensus{ends: make(map[[2]string]time.Time), seen: make(map[string]int)}
}

// watch looks until ctx ends.
func (c *timeWaitCensus) watch(ctx context.Context, t *testing.T) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := c.look(); err != nil {
				t.Error(err)
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func (c *timeWaitCensus) look() error {
	f, err := os.Open("/proc/net/tcp")
	if err != nil {
		return err
	}
	text, err := io.ReadAll(f)
	f.Close()
	if err != nil {
		return err
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for b := range dialer.Budgets() {
		c.full = max(c.full, b.Used())
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 6 || fields[3] != "06" {
			continue
		}
		_, left, _ := strings.Cut(fields[5], ":")
		ticks, err := strconv.ParseUint(left, 16, 32)
		if err != nil {
			return fmt.Errorf("/proc/net/tcp: %q: %w", line, err)
		}
		key, end := [2]string{fields[1], fields[2]}, now.Add(time.Duration(ticks)*time.Second/100)
		if last, known := c.ends[key]; !known || end.Sub(last) > 5*time.Second {
			c.seen[fields[2]]++
			c.ends[key] = end
		}
	}
	return nil
}

// count looks once more and returns how many of the TIME_WAITs match.
func (c *timeWaitCensus) count(t *testing.T, match func(netlab.Socket) bool) (n int) {
	t.Helper()
	if err := c.look(); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for remote, seen := range c.seen {
		addr, err := netlab.ParseAddrPort(remote)
		if err != nil {
			t.Fatal(err)
		}
		if match(netlab.Socket{Remote: addr}) {
			n += seen
		}
	}
	return n
}
