package stayopen_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"testing"
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

func TestAMixOpensFewerConnectionsThanThroughATunedTransport(t *testing.T) {
	m := mix{40, 8, 100 * time.Millisecond, 20 * time.Millisecond}
	const tries, each = 3, 3 * time.Second
	for try := 1; ; try++ {
		theirs, ours := m.run(t, each)
		t.Logf("http.Transport: %v", theirs)
		t.Logf("stayopen:       %v", ours)
		if theirs.failed > 0 || ours.failed > 0 {
			t.Fatalf("%d and %d requests failed, want none", theirs.failed, ours.failed)
		}
		// Where the machine keeps up it is three quarters, and less. Where it does
		// not, all workers wait at the same time, and everybody needs a connection
		// for each.
		if ours.opened < theirs.opened {
			return
		}
		if most := m.origins * m.workers; ours.opened > most+most/5 {
			t.Errorf("%d opened for %d workers, want no more than a fifth more", ours.opened, most)
		}
		if try == tries {
			if keptUp := m.origins * m.workers * int(each/m.pause) / 2; theirs.requests > keptUp {
				t.Errorf("%d opened, want fewer than http.Transport's %d", ours.opened, theirs.opened)
			}
			return
		}
	}
}

// run sends the mix through both, at the same time if that leaves room for pauses:
// then both meet the same machine.
func (m mix) run(tb testing.TB, d time.Duration) (theirs, ours mixed) {
	tb.Helper()
	tmpl := &http.Transport{MaxIdleConnsPerHost: 256, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		<-time.After(m.connecting)
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}
	tr, err := transport.New(transport.Config{Template: tmpl})
	if err != nil {
		tb.Fatal(err)
	}
	defer tr.Close()
	defer tmpl.CloseIdleConnections()
	theirPorts, ourPorts := m.open(tb), m.open(tb)
	var both sync.WaitGroup
	both.Go(func() { theirs = m.through(tmpl, theirPorts, d) })
	if m.pause == 0 {
		both.Wait()
	}
	both.Go(func() { ours = m.through(tr, ourPorts, d) })
	both.Wait()
	for i := range m.origins {
		theirs.opened += theirPorts[i].accepted(tb)
		ours.opened += ourPorts[i].accepted(tb)
	}
	return theirs, ours
}

func (m mix) open(tb testing.TB) []port {
	tb.Helper()
	ports := make([]port, m.origins)
	for i := range ports {
		ports[i] = openPort(tb)
	}
	return ports
}

// through sends requests until d is over.
func (m mix) through(rt http.RoundTripper, ports []port, d time.Duration) (seen mixed) {
	var (
		client = &http.Client{Transport: rt}
		end    = time.Now().Add(d)
		mu     sync.Mutex // guards seen
		all    sync.WaitGroup
	)
	for _, p := range ports {
		get := getter(client, p.url+"/slow")
		for range m.workers {
			all.Go(func() {
				requests, failed := 0, 0
				for time.Now().Before(end) {
					if m.pause > 0 {
						<-time.After(rand.N(2 * m.pause))
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
