package shadow_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"
)

// sender sends the requests of a load.
type sender func(t *testing.T, rt http.RoundTripper, scheme string)

// path asks the server to take d.
func path(d time.Duration) string { return "/?wait=" + d.String() }

func waiting(w http.ResponseWriter, r *http.Request) {
	if d, _ := time.ParseDuration(r.URL.Query().Get("wait")); d > 0 {
		<-time.After(d)
	}
	io.WriteString(w, "hello")
}

// bursts sends n bursts of size requests each, to hosts in turn.
func bursts(n, size, hosts int, took time.Duration) sender {
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
func arrivals(rate float64, during time.Duration, hosts int, took time.Duration) sender {
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

// visits has workers that send so many requests each: they send one, read its answer or, one time in ten,
// leave it, and think, all for random times.
func visits(workers, each, hosts int, took, thought time.Duration) sender {
	return func(t *testing.T, rt http.RoundTripper, scheme string) {
		var all sync.WaitGroup
		for i := range workers {
			all.Go(func() {
				random := rand.New(rand.NewPCG(uint64(i), 2))
				some := func(mean time.Duration) time.Duration {
					return time.Duration(random.ExpFloat64() * float64(mean))
				}
				for range each {
					url := fmt.Sprintf("%s://h%d.example%s", scheme, random.IntN(hosts), path(some(took)))
					if random.IntN(10) == 0 {
						leave(t, rt, url)
					} else {
						get(t, rt, url)
					}
					<-time.After(some(thought))
				}
			})
		}
		all.Wait()
	}
}

// leave makes a GET and closes the body unread.
func leave(t *testing.T, rt http.RoundTripper, url string) {
	resp, err := (&http.Client{Transport: rt}).Get(url)
	if err != nil {
		t.Error(err)
		return
	}
	resp.Body.Close()
}
