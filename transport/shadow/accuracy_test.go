package shadow_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// load is a way to send requests to one server, whose hosts are many.
type load struct {
	name  string
	mode  string // of the server
	burst bool
	send  func(t *testing.T, rt http.RoundTripper, scheme string)
}

// wait is a request's path that asks the server to take d.
func path(d time.Duration) string { return "/?wait=" + d.String() }

func waiting(w http.ResponseWriter, r *http.Request) {
	if d, _ := time.ParseDuration(r.URL.Query().Get("wait")); d > 0 {
		<-time.After(d)
	}
	io.WriteString(w, "hello")
}

// bursts sends n bursts of size requests each, to hosts in turn.
func bursts(n, size, hosts int, took time.Duration) func(*testing.T, http.RoundTripper, string) {
	return func(t *testing.T, rt http.RoundTripper, scheme string) {
		for range n {
			var all sync.WaitGroup
			for i := range size {
				all.Go(func() { get(t, rt, fmt.Sprintf("%s://h%d.example%s", scheme, i%hosts, path(took))) })
			}
			all.Wait()
			<-time.After(20 * time.Millisecond)
		}
	}
}

// arrivals sends requests at random moments, rate a second, for so long.
func arrivals(rate float64, during time.Duration, hosts int, took time.Duration) func(*testing.T, http.RoundTripper, string) {
	return func(t *testing.T, rt http.RoundTripper, scheme string) {
		random := rand.New(rand.NewPCG(1, 2))
		var all sync.WaitGroup
		begin := time.Now()
		for due := time.Duration(0); due < during; due += time.Duration(random.ExpFloat64() / rate * 1e9) {
			<-time.After(time.Until(begin.Add(due)))
			host, d := random.IntN(hosts), time.Duration(random.ExpFloat64()*float64(took))
			all.Go(func() { get(t, rt, fmt.Sprintf("%s://h%d.example%s", scheme, host, path(d))) })
		}
		all.Wait()
	}
}

// loop lets workers send one request after the other.
func loop(workers int, during time.Duration, hosts int, took time.Duration) func(*testing.T, http.RoundTripper, string) {
	return func(t *testing.T, rt http.RoundTripper, scheme string) {
		var all sync.WaitGroup
		begin := time.Now()
		for i := range workers {
			all.Go(func() {
				random := rand.New(rand.NewPCG(uint64(i), 2))
				for time.Since(begin) < during {
					get(t, rt, fmt.Sprintf("%s://h%d.example%s", scheme, random.IntN(hosts), path(took)))
				}
			})
		}
		all.Wait()
	}
}

var loads = []load{
	{"bursts", "h1", true, bursts(20, 200, 1, 0)},
	{"bursts of slow requests over TLS", "https1", true, bursts(10, 60, 1, 5*time.Millisecond)},
	{"arrivals", "h1", false, arrivals(600, time.Second, 1, 10*time.Millisecond)},
	{"arrivals at many hosts", "h1", false, arrivals(1000, time.Second, 120, 5*time.Millisecond)},
	{"loop", "h1", false, loop(32, time.Second, 1, 2*time.Millisecond)},
	{"h2", "h2", true, bursts(10, 100, 20, time.Millisecond)},
}

func TestExplore(t *testing.T) {
	for _, l := range loads {
		scheme := "http"
		if l.mode != "h1" {
			scheme = "https"
		}
		fresh := func() *server { return serve(t, l.mode, waiting) }
		var real []int64
		for range 5 {
			s := fresh()
			tr := s.likeDefault(t)
			l.send(t, tr, scheme)
			real = append(real, s.accepts.Load())
			tr.CloseIdleConnections()
			s.Close()
		}
		slices.Sort(real)
		for range 2 {
			s := fresh()
			base := s.likeDefault(t)
			sh := watch(t, base)
			l.send(t, sh, scheme)
			st := sh.Stats()
			t.Logf("%s: real %v; own: accepts %d, counted %d, default %d, stayopen %d (n=%d)", l.name, real, s.accepts.Load(), st.Opened, st.Default.Opened, st.StayOpen.Opened, st.Requests)
			base.CloseIdleConnections()
			s.Close()
			s = fresh()
			so := s.stayOpen(t)
			sh = watch(t, so)
			l.send(t, sh, scheme)
			st = sh.Stats()
			t.Logf("     over stayopen: accepts %d, counted %d, default %d, stayopen %d", s.accepts.Load(), st.Opened, st.Default.Opened, st.StayOpen.Opened)
			so.Close()
			s.Close()
		}
	}
}
