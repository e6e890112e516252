package transport_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayopen-go/stayopen/transport"
)

// The restarts come at even distances, and each finds connections that have been
// idle since the one before: as if the server closed after that time.
func TestAServerRestartedUnderLoadTeachesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const (
			restarts = 5
			every    = 1500 * time.Millisecond
			busy     = 8
			burst    = 12
		)
		m := newMeter(t)
		s := startRestarting(t)
		tr := newTransport(t, transport.Config{Template: &http.Transport{DialContext: s.DialContext}, MeterProvider: m.provider})
		var requests, failed atomic.Int64
		send := func(path string) {
			requests.Add(1)
			if _, _, err := get(&http.Client{Transport: tr}, "http://a.example"+path); err != nil {
				failed.Add(1) // its connection ended, say
			}
		}
		stop := make(chan struct{})
		var load sync.WaitGroup
		for range busy {
			load.Go(func() {
				pace := time.NewTicker(20 * time.Millisecond)
				defer pace.Stop()
				for {
					select {
					case <-stop:
						return
					case <-pace.C:
						send("/")
					}
				}
			})
		}
		for range restarts {
			inParallelRequests(burst+busy, func() { send("/slow") })
			<-time.After(every)
			s.restart()
		}
		inParallelRequests(burst, func() { send("/slow") })
		<-time.After(2 * every)
		close(stop)
		load.Wait()
		synctest.Wait()
		st, closes := tr.Stats(), m.closes(t)
		t.Logf("%d restarts: %d requests, %d failed, %d opened, %d reused, closes %v", restarts, requests.Load(), failed.Load(), st.Opened, st.ClosesAvoided, closes)
		if most := uint64((restarts + 1) * (burst + 2*busy)); st.Opened > most {
			t.Errorf("%d connections were opened, want %d at most, as many as are in use at once after each restart", st.Opened, most)
		}
		if failed.Load() > restarts*busy {
			t.Errorf("%d of %d requests failed, want %d at most, those that were under way in a restart", failed.Load(), requests.Load(), restarts*busy)
		}
		if closes["peer_closed peer"]+closes["peer_closed unknown"] < restarts*burst {
			t.Errorf("closes counted: %v, want %d by the server at least: the run is void", closes, restarts*burst)
		}
		for _, why := range []string{"idle_timeout local", "max_leases local"} {
			if closes[why] > 0 {
				t.Errorf("%d connections were closed by %s, want none: a restart is no limit", closes[why], why)
			}
		}
	})
}

// inParallelRequests calls f n times at once.
func inParallelRequests(n int, f func()) {
	var all sync.WaitGroup
	for range n {
		all.Go(f)
	}
	all.Wait()
}

// restarting is a server that ends and begins again at the same address.
type restarting struct {
	network atomic.Pointer[memory] // that of the server that runs
	server  *http.Server
	serving sync.WaitGroup
}

func startRestarting(t *testing.T) *restarting {
	t.Helper()
	s := new(restarting)
	s.start()
	t.Cleanup(s.stop)
	return s
}

// DialContext connects to the server, or fails between its end and its beginning.
func (s *restarting) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return s.network.Load().DialContext(ctx, network, addr)
}

func (s *restarting) start() {
	m := newMemory()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-time.After(50 * time.Millisecond)
		}
		io.WriteString(w, "hello")
	})}
	s.server = server
	s.serving.Go(func() { server.Serve(m) }) // ends with stop
	s.network.Store(m)
}

func (s *restarting) stop() {
	s.server.Close()
	s.serving.Wait()
}

func (s *restarting) restart() {
	s.stop()
	s.start()
}
