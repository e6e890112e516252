package transport_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/transport"
)

// TestServerThatClosesAnIdleConnectionAsARequestGoesOutFailsNoGETAndGetsNoPOSTTwice
// runs 64 callers against a server that closes connection after connection in
// the moment in which it is used again. What the server has read is the judge.
func TestServerThatClosesAnIdleConnectionAsARequestGoesOutFailsNoGETAndGetsNoPOSTTwice(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		closes := 10_000
		if testing.Short() {
			closes = 1_000
		}
		r := startRace(t, mode, closes)
		tr := newTransport(t, transport.Config{Template: r.template()})
		got := r.run(tr)
		t.Logf("stayopen: %v; %d retries", got, tr.Stats().Retries)
		r.judge(t, got)
		if hits := r.hits.Load(); hits < int64(closes)/20 {
			t.Errorf("%d of %d closes hit a request, want at least 1 in 20: the server does not aim well", hits, closes)
		}
		if got.maybeSent == 0 || r.twice() == 0 {
			t.Errorf("%d POSTs reported as perhaps sent, %d requests sent twice, want some of both: the run is void", got.maybeSent, r.twice())
		}
		if st := tr.Stats(); st.Active != 0 || st.Waiting != 0 {
			t.Errorf("%d exchanges are active and %d requests wait after the last has returned, want none", st.Active, st.Waiting)
		}

		r = startRace(t, mode, 100)
		plain := r.template()
		plain.MaxIdleConnsPerHost = racers // as many as it needs
		base := r.run(plain)
		plain.CloseIdleConnections()
		t.Logf("http.Transport: %v", base)
		if base.unsaid+base.getsFailed == 0 {
			t.Errorf("http.Transport failed no GET, and said of each POST that failed whether it may have been sent: the run is void")
		}
	})
}

// racers is how many callers send one request after the other.
const racers = 64

// race is a server that closes idle connections at the worst moment, and what
// it knows of the requests.
type race struct {
	*peers
	closes atomic.Int64 // connections it closed after they had served
	enough int64        // how many of them there are to be
	hits   atomic.Int64 // of these, those on which it had a byte of another request
	gap    atomic.Int64 // between an answer and the next request on the connection, as last seen, in ns

	mu    sync.Mutex     // guards what follows
	whole map[string]int // requests that it has read to their end, by path
	torn  []string       // bodies that were not what was sent
}

func startRace(t *testing.T, mode string, closes int) *race {
	r := &race{enough: int64(closes), whole: make(map[string]int)}
	r.gap.Store(int64(100 * time.Microsecond))
	// One stream at a time: so a connection falls idle with every answer, as it
	// does on HTTP/1.
	r.peers = servePeersOf(t, mode, 1, r.serve)
	return r
}

// serve answers at least one request. After that, most pauses end with a close.
func (r *race) serve(p *peer) {
	for served := 0; ; served++ {
		if served > 0 && r.closing(p) {
			r.closes.Add(1)
			return
		}
		a, err := p.head()
		if err != nil {
			p.close()
			return
		}
		if r.read(p, a) != nil || p.answer(a, 200, "ok") != nil {
			p.close()
			return
		}
	}
}

// closing sometimes ends the pause before the next request by a close, in one of
// the ways that servers, and what stands between, have of doing it.
func (r *race) closing(p *peer) bool {
	end := p.close
	if rand.N(2) == 0 {
		end = p.reset
	}
	switch rand.N(8) {
	case 0, 1:
		return false
	case 2, 3: // by the clock, at about the time when a request is due
		if r.requestComes(p) {
			return false
		}
		p.close()
	case 4: // by the clock, with a word of farewell
		if r.requestComes(p) {
			return false
		}
		r.farewell(p)
		p.close()
	case 5: // as the first byte arrives
		if p.await() != nil {
			return false
		}
		r.hits.Add(1)
		if p.h2 != nil && rand.N(2) == 0 {
			p.goAway(p.h2.last)
			end = p.halfClose
		}
		end()
	case 6: // with the head read
		if _, err := p.head(); err != nil {
			return false
		}
		r.hits.Add(1)
		end()
	case 7: // with all of it read, as one that acts on it and dies
		a, err := p.head()
		if err != nil || r.read(p, a) != nil {
			return false
		}
		r.hits.Add(1)
		end()
	}
	return true
}

// requestComes waits up to twice as long as it took the last time.
func (r *race) requestComes(p *peer) bool {
	began := time.Now()
	p.SetReadDeadline(began.Add(rand.N(time.Duration(2*r.gap.Load() + 1))))
	err := p.await()
	p.SetReadDeadline(time.Time{})
	if err == nil {
		r.gap.Store(int64(time.Since(began)))
		return true
	}
	r.gap.Add(r.gap.Load()/16 + 1)
	return false
}

func (r *race) farewell(p *peer) {
	if p.h2 != nil {
		p.goAway(p.h2.last)
		return
	}
	io.WriteString(p, "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
}

// read reads the rest of a request and enters it.
func (r *race) read(p *peer, a *asked) error {
	if err := p.body(a, window); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.whole[a.path]++
	if a.method == "POST" && !bytes.Equal(a.body, raceBody(a.path)) {
		r.torn = append(r.torn, a.path)
	}
	return nil
}

// twice is the number of requests that arrived more than once.
func (r *race) twice() (n int) {
	r.peers.mu.Lock()
	defer r.peers.mu.Unlock()
	for _, times := range r.heads {
		if times > 1 {
			n++
		}
	}
	return n
}

// raceBody is the body that belongs to a path: of any length up to some 15 kB.
func raceBody(path string) []byte {
	n, _ := strconv.Atoi(path[strings.LastIndexByte(path, '/')+1:])
	return bytes.Repeat([]byte(path+"\n"), n%1000+1)
}

// raced is what the callers saw.
type raced struct {
	requests   int
	getsFailed int // GETs, and POSTs with an Idempotency-Key, that failed
	maybeSent  int // other POSTs that failed and say that they may have been sent
	unsaid     int // other POSTs that failed and do not
	timeouts   int // requests answered 408: the server's farewell crossed them
	example    error
	answered   map[string]bool // requests that succeeded, by path
}

func (o raced) String() string {
	return fmt.Sprintf("%d requests; failed: %d GETs and keyed POSTs, %d POSTs that say they may have been sent, %d POSTs that say nothing; %d answered 408; for example: %v",
		o.requests, o.getsFailed, o.maybeSent, o.unsaid, o.timeouts, o.example)
}

// run sends requests from all callers until the server has closed often enough.
func (r *race) run(rt http.RoundTripper) raced {
	var (
		mu   sync.Mutex
		seen raced
		next atomic.Int64
		wg   sync.WaitGroup
	)
	seen.answered = make(map[string]bool)
	for range racers {
		wg.Go(func() {
			for r.closes.Load() < r.enough {
				kind := raceKinds[rand.N(len(raceKinds))]
				path := "/" + kind + "/" + strconv.FormatInt(next.Add(1), 10)
				status, err := r.send(rt, kind, path)
				mu.Lock()
				seen.add(kind, path, status, err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return seen
}

var raceKinds = []string{"get", "post", "key"}

func (r *race) send(rt http.RoundTripper, kind, path string) (status int, err error) {
	method, body := "GET", io.Reader(nil)
	if kind != "get" {
		method, body = "POST", bytes.NewReader(raceBody(path))
	}
	req, err := http.NewRequest(method, r.url+path, body)
	if err != nil {
		return 0, err
	}
	if kind == "key" {
		req.Header.Set("Idempotency-Key", path)
	}
	resp, err := (&http.Client{Transport: rt}).Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

func (o *raced) add(kind, path string, status int, err error) {
	o.requests++
	switch {
	case err == nil && status == http.StatusRequestTimeout:
		o.timeouts++
		return
	case err == nil:
		o.answered[path] = true
		return
	}
	var maybe *transport.MaybeSentError
	said := errors.As(err, &maybe) && strings.Contains(err.Error(), "may have been sent")
	switch {
	case kind != "post":
		o.getsFailed++
	case said:
		o.maybeSent++
		return
	default:
		o.unsaid++
	}
	o.example = err
}

// judge holds what the callers saw against what the server knows.
func (r *race) judge(t *testing.T, seen raced) {
	t.Helper()
	if seen.getsFailed > 0 {
		t.Errorf("%d GETs and POSTs with an Idempotency-Key failed, want none: they may be sent again; one with %v", seen.getsFailed, seen.example)
	}
	if seen.unsaid > 0 {
		t.Errorf("%d POSTs failed without saying that they may have been sent, want none; one with %v", seen.unsaid, seen.example)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for path := range seen.answered {
		if r.whole[path] == 0 {
			t.Errorf("%s was answered, but the server has never read it to its end", path)
		}
	}
	r.peers.mu.Lock()
	defer r.peers.mu.Unlock()
	for path, times := range r.heads {
		if strings.HasPrefix(path, "/post/") && times > 1 {
			t.Errorf("%s arrived at the server %d times, %d times whole, want once: a POST was sent twice", path, times, r.whole[path])
		}
	}
	if len(r.torn) > 0 {
		t.Errorf("%d bodies arrived that are not what was sent, %s for one", len(r.torn), r.torn[0])
	}
}
