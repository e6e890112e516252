package transport_test

import (
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/transport"
)

// The restarts come at even distances, and each finds connections that have been
// idle since the one before: as if the server closed after that time.
func TestAServerRestartedUnderLoadTeachesNothing(t *testing.T) {
	t.Parallel()
	const (
		restarts = 5
		every    = 1500 * time.Millisecond
		busy     = 8
		burst    = 12
	)
	m := newMeter(t)
	tr := newTransport(t, transport.Config{Template: &http.Transport{}, MeterProvider: m.provider})
	s := startRestarting(t, "127.0.0.1:0")
	url := "http://" + s.addr
	var requests, failed atomic.Int64
	send := func(path string) {
		requests.Add(1)
		if _, _, err := get(&http.Client{Transport: tr}, url+path); err != nil {
			failed.Add(1) // nobody listened, say
		}
	}
	stop := make(chan struct{})
	var load sync.WaitGroup
	for range busy {
		load.Go(func() {
			pace := time.NewTicker(2 * time.Millisecond)
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
		s.restart(t)
	}
	inParallelRequests(burst, func() { send("/slow") })
	<-time.After(2 * every)
	close(stop)
	load.Wait()
	st, closes := tr.Stats(), m.closes(t)
	reuse := float64(st.ClosesAvoided) / float64(st.Exchanges)
	t.Logf("%d restarts: %d requests, %d failed, %d opened, %.2f %% reused, closes %v", restarts, requests.Load(), failed.Load(), st.Opened, 100*reuse, closes)
	if reuse < 0.99 {
		t.Errorf("%.2f %% of the requests travelled on a connection that was there, want 99 %%", 100*reuse)
	}
	if failed.Load()*100 > requests.Load() {
		t.Errorf("%d of %d requests failed, want one in a hundred at most", failed.Load(), requests.Load())
	}
	if closes["peer_closed peer"] < restarts*burst {
		t.Errorf("%d connections were closed by the server, want %d at least: the run is void", closes["peer_closed peer"], restarts*burst)
	}
	for _, why := range []string{"idle_timeout local", "max_leases local"} {
		if closes[why] > 0 {
			t.Errorf("%d connections were closed by %s, want none: a restart is no limit", closes[why], why)
		}
	}
}

// inParallelRequests calls f n times at once.
func inParallelRequests(n int, f func()) {
	var all sync.WaitGroup
	for range n {
		all.Go(f)
	}
	all.Wait()
}

// restarting is a server that ends and begins again on the same port.
type restarting struct {
	addr    string
	server  *http.Server
	serving sync.WaitGroup
}

func startRestarting(t *testing.T, addr string) *restarting {
	t.Helper()
	s := &restarting{addr: addr}
	s.start(t)
	t.Cleanup(s.stop)
	return s
}

func (s *restarting) start(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	s.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-time.After(50 * time.Millisecond)
		}
		io.WriteString(w, "hello")
	})}
	server := s.server
	s.serving.Go(func() { server.Serve(l) }) // ends with stop
}

func (s *restarting) stop() {
	s.server.Close()
	s.serving.Wait()
}

func (s *restarting) restart(t *testing.T) {
	t.Helper()
	s.stop()
	s.start(t)
}
