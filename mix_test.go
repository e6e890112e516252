package stayopen_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayopen-go/stayopen/transport"
)

// mix is a steady load on many origins: workers of each ask, at random times.
type mix struct {
	origins, workers int
	pause            time.Duration // between a worker's requests, on average
	connecting       time.Duration // what it takes to connect, in addition
}

// mixed is what became of a mix.
type mixed struct{ requests, failed, opened int }

func (m mixed) reuse() float64 { return 100 * (1 - float64(m.opened)/float64(m.requests)) }

func (m mixed) String() string {
	return fmt.Sprintf("%d requests, %d failed, %d opened, %.2f %% reused", m.requests, m.failed, m.opened, m.reuse())
}

// BenchmarkMix has 8 workers each ask 100 origins for 20 s, through a
// http.Transport that keeps as many connections as the load can need and through
// stayopen:
//
//	go test -run '^$' -bench Mix -benchtime 1x -v .
//
// Workers that ask all the time need a connection each, whoever keeps it: 800.
// With pauses, those in use may come free sooner than new ones are there.
func BenchmarkMix(b *testing.B) {
	for _, m := range []mix{
		{100, 8, 0, 0},
		{100, 8, 100 * time.Millisecond, 0},
		{100, 8, 100 * time.Millisecond, 5 * time.Millisecond},
		{100, 8, 100 * time.Millisecond, 20 * time.Millisecond},
	} {
		b.Run(fmt.Sprintf("pause=%v/delay=%v", m.pause, m.connecting), func(b *testing.B) {
			var theirs, ours mixed
			for b.Loop() {
				theirs, ours = m.run(b, 20*time.Second)
			}
			b.Logf("http.Transport: %v", theirs)
			b.Logf("stayopen:       %v", ours)
			b.ReportMetric(float64(theirs.opened), "opened-http")
			b.ReportMetric(float64(ours.opened), "opened")
			b.ReportMetric(ours.reuse(), "reused-%")
			b.ReportMetric(float64(ours.opened)/float64(theirs.opened), "opened-ratio")
		})
	}
}

// In a bubble, connecting takes its 20 ms and no more, whatever the machine does.
func TestAMixOpensFewerConnectionsThanThroughATunedTransport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mix{10, 8, 100 * time.Millisecond, 20 * time.Millisecond}
		theirs, ours := m.runOn(t, func(t testing.TB) host { return openPipe(t) }, 3*time.Second)
		t.Logf("http.Transport: %v", theirs)
		t.Logf("stayopen:       %v", ours)
		if theirs.failed > 0 || ours.failed > 0 {
			t.Errorf("%d and %d requests failed, want none", theirs.failed, ours.failed)
		}
		if least := m.origins * m.workers * int(3*time.Second/m.pause) / 2; ours.requests < least || theirs.requests < least {
			t.Errorf("%d and %d requests, want %d at least: the run is void", theirs.requests, ours.requests, least)
		}
		if ours.opened >= theirs.opened {
			t.Errorf("%d opened, want fewer than http.Transport's %d", ours.opened, theirs.opened)
		}
	})
}

// run sends the mix through both, at the same time if that leaves room for pauses:
// then both meet the same machine.
func (m mix) run(tb testing.TB, d time.Duration) (theirs, ours mixed) {
	tb.Helper()
	return m.runOn(tb, func(tb testing.TB) host { return openPort(tb) }, d)
}

// host is a server of its own.
type host interface {
	dial(ctx context.Context) (net.Conn, error)
	accepted(testing.TB) int
}

func (p port) dial(ctx context.Context) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", p.addr)
}

// runOn is run with hosts that open makes.
func (m mix) runOn(tb testing.TB, open func(testing.TB) host, d time.Duration) (theirs, ours mixed) {
	tb.Helper()
	hosts := make(map[string]host) // by address
	dial := func(ctx context.Context, _, addr string) (net.Conn, error) {
		<-time.After(m.connecting)
		return hosts[addr].dial(ctx)
	}
	tmpl := &http.Transport{MaxIdleConnsPerHost: 256, DialContext: dial}
	tr, err := transport.New(transport.Config{Template: tmpl})
	if err != nil {
		tb.Fatal(err)
	}
	defer tr.Close()
	defer tmpl.CloseIdleConnections()
	var names [2][]string
	for side := range names {
		for i := range m.origins {
			name := fmt.Sprintf("host-%d-%d.example", side, i)
			names[side] = append(names[side], name)
			hosts[name+":80"] = open(tb)
		}
	}
	var both sync.WaitGroup
	both.Go(func() { theirs = m.through(tmpl, names[0], d) })
	if m.pause == 0 {
		both.Wait()
	}
	both.Go(func() { ours = m.through(tr, names[1], d) })
	both.Wait()
	for side, seen := range []*mixed{&theirs, &ours} {
		for _, name := range names[side] {
			seen.opened += hosts[name+":80"].accepted(tb)
		}
	}
	return theirs, ours
}

// through sends requests until d is over.
func (m mix) through(rt http.RoundTripper, names []string, d time.Duration) (seen mixed) {
	var (
		client = &http.Client{Transport: rt}
		end    = time.Now().Add(d)
		mu     sync.Mutex // guards seen
		all    sync.WaitGroup
	)
	for i, name := range names {
		get := getter(client, "http://"+name+"/slow")
		for w := range m.workers {
			all.Go(func() {
				pauses := rand.New(rand.NewPCG(uint64(i), uint64(w))) // the same for both
				requests, failed := 0, 0
				for time.Now().Before(end) {
					if m.pause > 0 {
						<-time.After(time.Duration(pauses.Int64N(int64(2 * m.pause))))
					}
					if get() != nil {
						failed++
					}
					requests++
				}
				mu.Lock()
				defer mu.Unlock()
				seen.requests += requests
				seen.failed += failed
			})
		}
	}
	all.Wait()
	return seen
}

// pipe is a server in this process, without sockets: a connection that waits for
// data lets a bubble's clock run on, which one on a socket does not.
type pipe struct {
	accept chan net.Conn
	ended  chan struct{} // closed by Close
	once   sync.Once
	n      atomic.Int64
}

func openPipe(tb testing.TB) *pipe {
	p := &pipe{accept: make(chan net.Conn), ended: make(chan struct{})}
	s := &http.Server{Handler: http.HandlerFunc(answer)}
	served := make(chan struct{})
	go func() { // ends with s
		defer close(served)
		s.Serve(p)
	}()
	tb.Cleanup(func() { s.Close(); <-served })
	return p
}

func (p *pipe) dial(ctx context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.accept <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipe) accepted(testing.TB) int { return int(p.n.Load()) }

func (p *pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.accept:
		p.n.Add(1)
		return c, nil
	case <-p.ended:
		return nil, net.ErrClosed
	}
}

func (p *pipe) Close() error   { p.once.Do(func() { close(p.ended) }); return nil }
func (p *pipe) Addr() net.Addr { return &net.TCPAddr{} }
