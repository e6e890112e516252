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

// sender sends the requests of a load, the same ones for the same seed.
type sender func(t *testing.T, rt http.RoundTripper, scheme string, seed uint64)

// dice are what a load leaves to chance.
type dice struct{ *rand.Rand }

func throw(seed, nth uint64) dice { return dice{rand.New(rand.NewPCG(seed, nth))} }

// some is a random time with this mean.
func (d dice) some(mean time.Duration) time.Duration {
	return time.Duration(d.ExpFloat64() * float64(mean))
}

// until waits for a moment. One that has come already it does not wait for: under
// the race detector, goroutines of a bubble must not receive at once from timers
// that are due (golang/go#78156).
func until(moment time.Time) {
	if d := time.Until(moment); d > 0 {
		<-time.After(d)
	}
}

// path asks the server to take d.
func path(d time.Duration) string { return "/?wait=" + d.String() }

func waiting(w http.ResponseWriter, r *http.Request) {
	if d, _ := time.ParseDuration(r.URL.Query().Get("wait")); d > 0 {
		<-time.After(d)
	}
	io.WriteString(w, "hello")
}

// bursts sends n bursts of size requests each, to hosts in turn. Those of a burst
// begin at random moments, late by late in the mean, and the next one pause after
// it.
func bursts(n, size, hosts int, late, took, pause time.Duration) sender {
	return func(t *testing.T, rt http.RoundTripper, scheme string, seed uint64) {
		random := throw(seed, 0)
		begin := time.Now()
		for range n {
			var all sync.WaitGroup
			for i := range size {
				begin := begin.Add(random.some(late))
				url := fmt.Sprintf("%s://h%d.example%s", scheme, i%hosts, path(random.some(took)))
				all.Go(func() {
					until(begin)
					get(t, rt, url)
				})
			}
			all.Wait()
			begin = begin.Add(pause)
			until(begin)
		}
	}
}

// arrivals sends requests at random moments, rate a second, for so long. One in
// so many leaves its body unread; zero: none does.
func arrivals(rate float64, during time.Duration, hosts int, took time.Duration, left int) sender {
	return func(t *testing.T, rt http.RoundTripper, scheme string, seed uint64) {
		random := throw(seed, 0)
		var all sync.WaitGroup
		begin := time.Now()
		for due := time.Duration(0); due < during; due += random.some(time.Duration(1e9 / rate)) {
			until(begin.Add(due))
			url := fmt.Sprintf("%s://h%d.example%s", scheme, random.IntN(hosts), path(random.some(took)))
			if left > 0 && random.IntN(left) == 0 {
				all.Go(func() { leave(t, rt, url) })
			} else {
				all.Go(func() { get(t, rt, url) })
			}
		}
		all.Wait()
	}
}

// visits has workers that send so many requests each, all for random times: they
// send one, read its answer or, one time in ten, leave it, and think. They begin
// to think after as long as the server takes and slack, which no connection
// takes longer to come by; if that is zero, when they have the answer.
func visits(workers, each, hosts int, took, thought, slack time.Duration) sender {
	return func(t *testing.T, rt http.RoundTripper, scheme string, seed uint64) {
		var all sync.WaitGroup
		for i := range workers {
			all.Go(func() {
				random := throw(seed, uint64(i))
				for range each {
					d, begin := random.some(took), time.Now()
					url := fmt.Sprintf("%s://h%d.example%s", scheme, random.IntN(hosts), path(d))
					if random.IntN(10) == 0 {
						leave(t, rt, url)
					} else {
						get(t, rt, url)
					}
					next := begin.Add(d + slack)
					if slack == 0 {
						next = time.Now()
					}
					until(next.Add(random.some(thought)))
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
