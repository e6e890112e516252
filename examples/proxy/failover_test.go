package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// hammer sends GETs by so many clients until stop is closed, and returns when they
// have ended what was wrong with any.
func (r *running) hammer(clients int, stop <-chan struct{}, sent *atomic.Int64) (wrong []error) {
	var mu sync.Mutex
	var working sync.WaitGroup
	for range clients {
		working.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				got, err := readAll(r.client.Get(r.url))
				if sent.Add(1); err != nil || len(got) != 1 {
					mu.Lock()
					wrong = append(wrong, fmt.Errorf("got %q, %w", got, err))
					mu.Unlock()
				}
			}
		})
	}
	working.Wait()
	return wrong
}

func TestAnUpstreamThatDiesAndComesBackUnderLoadFailsNoGET(t *testing.T) {
	for _, flags := range [][]string{nil, {"-health=/", "-health-every=20ms"}} {
		t.Run(fmt.Sprint("flags", flags), func(t *testing.T) {
			a, b := startBackend(t, said("a")), startBackend(t, said("b"))
			r := startProxy(t, append(flags, "-upstream="+a.url(), "-upstream="+b.url())...)
			stop := make(chan struct{})
			var sent atomic.Int64
			ended := make(chan []error)
			go func() { ended <- r.hammer(16, stop, &sent) }()
			more := func(n int64, of *atomic.Int64) {
				from := of.Load()
				wait(t, "more requests", func() bool { return of.Load() >= from+n })
			}
			for range 3 {
				more(100, &a.answers)
				a.kill()
				wait(t, "the upstream to be found dead", func() bool { return r.state(0) != "up" })
				more(100, &b.answers)
				a.start(t)
				wait(t, "the upstream to be found alive", func() bool { return r.state(0) == "up" })
			}
			more(100, &a.answers)
			close(stop)
			if wrong := <-ended; len(wrong) > 0 {
				t.Errorf("%d of %d requests failed, the first: %v", len(wrong), sent.Load(), wrong[0])
			}
			out := r.stop()
			if out.Requests != sent.Load() || out.Failed+out.Gone+out.Cut != 0 || out.Repeated == 0 {
				t.Errorf("got %+v, want %d requests, none failed, and some sent to the other upstream", out.counts, sent.Load())
			}
			if (out.Checks > 0) != (flags != nil) {
				t.Errorf("got %d checks with the flags %q", out.Checks, flags)
			}
		})
	}
}

// What the server has acted on is not sent again.
func TestAPOSTWhoseConnectionIsLostIsSentOnce(t *testing.T) {
	var got atomic.Int64
	lose := func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		got.Add(1)
		panic(http.ErrAbortHandler)
	}
	r := startProxy(t, "-upstream="+startBackend(t, lose).url(), "-upstream="+startBackend(t, lose).url())
	resp, err := r.client.Post(r.url, "", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 502 || got.Load() != 1 {
		t.Errorf("got %s, and upstreams got the request %d times, want 502 and once", resp.Status, got.Load())
	}
	if !strings.Contains(r.logged.String(), "may have been sent") {
		t.Errorf("the log does not say that it may have been sent: %q", r.logged)
	}
}

// A body of which nothing was sent goes to the upstream that is there.
func TestAPOSTThatDidNotLeaveGoesToAnotherUpstream(t *testing.T) {
	dead, b := startBackend(t, said("a")), startBackend(t, echo)
	dead.kill()
	r := startProxy(t, "-balance=round-robin", "-upstream="+dead.url(), "-upstream="+b.url())
	text := strings.Repeat("body", 100_000)
	if got, err := readAll(r.client.Post(r.url, "", strings.NewReader(text))); err != nil || got != text {
		t.Errorf("got %d bytes, %v, want the %d that were sent", len(got), err, len(text))
	}
	if out := r.stop(); out.Repeated != 1 || out.Failed != 0 || out.Upstreams[0].State != "set aside" {
		t.Errorf("got %+v of %+v, want one request sent to the other", out.counts, out.Upstreams)
	}
}

func TestTheAdminAddressSaysHowThingsAre(t *testing.T) {
	a := startBackend(t, said("a"))
	r := startProxy(t, "-admin=127.0.0.1:0", "-upstream="+a.url(), "-health=/", "-health-every=10ms")
	ask := func(path string) (string, error) {
		return readAll(r.client.Get("http://" + r.admin.addr.String() + path))
	}
	if got, err := ask("/healthz"); err != nil || got != "ok\n" {
		t.Errorf("got %q, %v, want ok", got, err)
	}
	r.get(t, "/")
	r.get(t, "/")
	text, err := ask("/status")
	var out outcome
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatalf("/status is no JSON: %v\n%s", err, text)
	}
	if err != nil || out.Requests != 2 || out.Stats == nil || out.Stats.ClosesAvoided == 0 || len(out.Upstreams) != 1 || out.Upstreams[0].Sent != 2 || out.Checks == 0 {
		t.Errorf("got %s, want 2 requests, and what they avoided", text)
	}
	a.kill()
	wait(t, "the upstream to be found dead", func() bool { return r.state(0) == "down" })
	if got, err := ask("/healthz"); err == nil || !strings.Contains(got, "no upstream") {
		t.Errorf("got %q, %v, want 503", got, err)
	}
	resp, err := r.client.Get(r.url)
	if got, err := readAll(resp, err); err == nil || resp.Header.Get("Retry-After") == "" {
		t.Errorf("got %q, %v, %v, want 503 with Retry-After", got, err, resp.Header)
	}
	a.start(t)
	wait(t, "health to bring it back", func() bool { return r.state(0) == "up" })
	if got, _ := r.get(t, "/"); got != "a" {
		t.Errorf("got %q, want a", got)
	}
}
