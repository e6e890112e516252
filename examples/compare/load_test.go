package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestABurstBeginsAPauseAfterTheLastAnswerOfTheOneBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var begun, ended []time.Time
		l := &load{origins: []string{"here"}, progress: &phase{}}
		l.get = func(context.Context, string) error {
			mu.Lock()
			begun = append(begun, time.Now())
			mu.Unlock()
			<-time.After(time.Millisecond + rand.N(10*time.Millisecond))
			mu.Lock()
			defer mu.Unlock()
			ended = append(ended, time.Now())
			return nil
		}
		p := plan{bursts: 4, burstSize: 30, pause: 50 * time.Millisecond}
		l.bursts(t.Context(), p)
		if len(begun) != 120 || len(l.latencies) != 120 {
			t.Fatalf("got %d requests and %d latencies, want 120 of each", len(begun), len(l.latencies))
		}
		for i := range begun {
			if i%30 != 0 {
				if !begun[i].Equal(begun[i-1]) {
					t.Errorf("request %d begins %v after its neighbour, want all of a burst at once", i, begun[i].Sub(begun[i-1]))
				}
			} else if i > 0 {
				if got := begun[i].Sub(ended[i-1]); got != p.pause {
					t.Errorf("burst %d begins %v after the last answer, want %v", i/30, got, p.pause)
				}
			}
		}
	})
}

func TestTheMixDoesNotWaitForAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var mu sync.Mutex
		got := map[string]time.Duration{}
		l := &load{origins: []string{"a", "b", "c"}, progress: &phase{}}
		l.get = func(_ context.Context, url string) error {
			mu.Lock()
			got[url] = time.Since(start)
			mu.Unlock()
			<-time.After(time.Second)
			return nil
		}
		due := []time.Duration{0, 3 * time.Millisecond, 40 * time.Millisecond}
		l.mix(t.Context(), plan{mix: []arrival{{due[0], 0}, {due[1], 1}, {due[2], 2}}})
		for i, url := range l.origins {
			if got[url] != due[i] {
				t.Errorf("%s was asked after %v, want %v", url, got[url], due[i])
			}
		}
		if took := time.Since(start); took != due[2]+time.Second {
			t.Errorf("mix returned after %v, want %v: with the last answer", took, due[2]+time.Second)
		}
	})
}

func TestAServerThatStopsAnsweringBoundsWhatIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		flying, most := 0, 0
		l := &load{origins: []string{"here"}, progress: &phase{}}
		l.get = func(context.Context, string) error {
			mu.Lock()
			flying++
			most = max(most, flying)
			mu.Unlock()
			<-time.After(time.Minute)
			mu.Lock()
			flying--
			mu.Unlock()
			return nil
		}
		l.mix(t.Context(), plan{mix: make([]arrival, maxInFlight+50)})
		if most != maxInFlight {
			t.Errorf("%d requests were in flight at once, want %d", most, maxInFlight)
		}
		// The latency of one that had to wait says so.
		if longest := l.latencies[len(l.latencies)-1]; longest != 2*time.Minute {
			t.Errorf("the longest latency is %v, want 2m: one waiting for its turn included", longest)
		}
	})
}

func TestWhatEndsWithTheContextCountsAsNeverSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		defer cancel()
		l := &load{origins: []string{"here"}, progress: &phase{}}
		l.get = func(ctx context.Context, _ string) error {
			if !sleep(ctx, 2*time.Millisecond) {
				return ctx.Err()
			}
			return nil
		}
		l.bursts(ctx, plan{bursts: 100, burstSize: 10})
		if l.failures != 0 || len(l.latencies) != 20 {
			t.Errorf("got %d failures and %d answers, want 0 and 20: two bursts fit", l.failures, len(l.latencies))
		}
		l.mix(ctx, plan{mix: make([]arrival, 100)})
		if n := l.requests(); n != 20 {
			t.Errorf("got %d requests, want 20: none is sent after the end", n)
		}
	})
}

func TestFailuresAreCountedAndOneIsKept(t *testing.T) {
	broken := errors.New("broken")
	n := 0
	l := &load{origins: []string{"here"}, progress: &phase{}}
	l.get = func(context.Context, string) error {
		if n++; n%3 == 0 {
			return broken
		}
		return nil
	}
	l.bursts(t.Context(), plan{bursts: 9, burstSize: 1})
	if l.failures != 3 || len(l.latencies) != 6 || l.requests() != 9 {
		t.Errorf("got %d failures, %d answers, %d requests, want 3, 6, 9", l.failures, len(l.latencies), l.requests())
	}
	if !errors.Is(l.firstError, broken) {
		t.Errorf("got first error %v, want %v", l.firstError, broken)
	}
}

func TestAnErrorStatusIsAFailureAndARedirectIsNot(t *testing.T) {
	asked := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer srv.Close()
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	get := getter(tr, &loopback{})
	if err := get(t.Context(), srv.URL+"/moved"); err != nil {
		t.Errorf("a redirect: %v, want no error", err)
	}
	if asked != 1 {
		t.Errorf("a redirect made %d requests, want 1: every client sends the same number", asked)
	}
	if err := get(t.Context(), srv.URL); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("status 503: got error %v, want one that says so", err)
	}
}
