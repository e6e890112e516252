package transport_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/transport"
)

// callers is how many requests of a mixed load run at the same time.
const callers = 64

// staleAfter is how long its servers keep an idle connection: not long, so that
// many of them end under the client's hands.
const staleAfter = 50 * time.Millisecond

// mixedLoad is requests of many kinds to servers of every protocol. Whether a
// request is answered depends on its path, and never on time: so the servers'
// counts are exact.
type mixedLoad struct {
	*mixedServers                   // nil where they are another process's
	urls          map[string]string // the servers', by mode
	foreignURL    string
	nobody        string // nobody listens there

	secret atomic.Uint64 // upgrades over TLS
	reused atomic.Uint64 // connections given to a request that are said to have been used before

	mu         sync.Mutex // guards what follows
	used       map[net.Conn]bool
	refused    uint64           // RoundTrips that returned an error
	exhausted  uint64           // of these, for want of a local port
	failures   map[string]int   // requests that failed, as they were to, by kind
	unexpected map[string]error // the last of those that failed and were not to, by kind
}

// mixedServers are the servers of a mixed load.
type mixedServers struct {
	servers map[string]*server // by mode
	foreign *server            // its certificate is not trusted: a connection to it is opened in vain
	running atomic.Int64       // handlers
}

// kind is a kind of request. Send returns an error if the request failed.
type kind struct {
	name  string
	send  func(l *mixedLoad, rt http.RoundTripper, url string) error
	fails bool // it is to fail
}

var kinds = []kind{
	{"GET", func(l *mixedLoad, rt http.RoundTripper, url string) error {
		return l.finish(l.trip(rt, loadRequest("GET", url+"/echo", nil)))
	}, false},
	{"HEAD", func(l *mixedLoad, rt http.RoundTripper, url string) error {
		return l.finish(l.trip(rt, loadRequest("HEAD", url+"/echo", nil)))
	}, false},
	{"POST", func(l *mixedLoad, rt http.RoundTripper, url string) error {
		return unlessStale(l.finish(l.trip(rt, loadRequest("POST", url+"/echo", bytes.NewReader(make([]byte, rand.N(50_000)))))))
	}, false},
	{"103 before the response", func(l *mixedLoad, rt http.RoundTripper, url string) error {
		return l.finish(l.trip(rt, loadRequest("GET", url+"/hints", nil)))
	}, false},
	{"body not wanted", func(l *mixedLoad, rt http.RoundTripper, url string) error {
		req := loadRequest("POST", url+"/no", strings.NewReader("body"))
		req.Header.Set("Expect", "100-continue")
		return unlessStale(l.finish(l.trip(rt, req)))
	}, false},
	{"large body closed early", func(l *mixedLoad, rt http.RoundTripper, url string) error {
		return l.closeEarly(l.trip(rt, loadRequest("GET", url+"/large", nil)))
	}, false},
	{"small body closed early", func(l *mixedLoad, rt http.RoundTripper, url string) error {
		return l.closeEarly(l.trip(rt, loadRequest("GET", url+"/small", nil)))
	}, false},
	{"upgrade", (*mixedLoad).upgrade, false},
	{"canceled GET", func(l *mixedLoad, rt http.RoundTripper, url string) error {
		ctx, cancel := context.WithTimeout(context.Background(), rand.N(5*time.Millisecond))
		defer cancel()
		return l.finish(l.trip(rt, loadRequest("GET", url+"/never", nil).WithContext(ctx)))
	}, true},
	{"GET canceled in its response", func(l *mixedLoad, rt http.RoundTripper, url string) error {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		resp, err := l.trip(rt, loadRequest("GET", url+"/stalls", nil).WithContext(ctx))
		cancel()
		return l.finish(resp, err)
	}, true},
	{"failing body", func(l *mixedLoad, rt http.RoundTripper, url string) error {
		req := loadRequest("POST", url+"/echo", nil)
		body := &payload{data: make([]byte, rand.N(50_000)), fail: errors.New("the disk is broken")}
		body.attach(req, false)
		return l.finish(l.trip(rt, req))
	}, true},
	{"aborted POST", func(l *mixedLoad, rt http.RoundTripper, url string) error {
		return l.finish(l.trip(rt, loadRequest("POST", url+"/abort", strings.NewReader("body"))))
	}, true},
	{"aborted POST with a key", func(l *mixedLoad, rt http.RoundTripper, url string) error {
		req := loadRequest("POST", url+"/abort", strings.NewReader("body"))
		req.Header["Idempotency-Key"] = nil
		return l.finish(l.trip(rt, req))
	}, true},
	{"torn response", func(l *mixedLoad, rt http.RoundTripper, url string) error {
		return l.finish(l.trip(rt, loadRequest("GET", url+"/torn", nil)))
	}, true},
	{"certificate not trusted", func(l *mixedLoad, rt http.RoundTripper, _ string) error {
		return l.finish(l.trip(rt, loadRequest("GET", l.foreignURL, nil)))
	}, true},
	{"nobody there", func(l *mixedLoad, rt http.RoundTripper, _ string) error {
		return l.finish(l.trip(rt, loadRequest("GET", l.nobody, nil)))
	}, true},
}

// unlessStale forgives a POST that met a stale connection. Which one does is
// chance, and that it says so is for other tests.
func unlessStale(err error) error {
	var maybe *transport.MaybeSentError
	if errors.As(err, &maybe) {
		return nil
	}
	return err
}

func loadRequest(method, url string, body io.Reader) *http.Request {
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		panic(err)
	}
	return req
}

func newMixedLoad(t *testing.T) *mixedLoad {
	t.Helper()
	s := serveMixed(t, "127.0.0.1")
	l := mixedLoadFor(s.urls())
	l.mixedServers = s
	return l
}

// mixedLoadFor is a load for the servers of these URLs.
func mixedLoadFor(urls map[string]string) *mixedLoad {
	host, err := url.Parse(urls["h1"])
	if err != nil {
		panic(err)
	}
	return &mixedLoad{
		urls:       urls,
		foreignURL: urls["foreign"],
		// A port that the kernel hands out would sooner or later be connected to
		// by itself.
		nobody:     "http://" + net.JoinHostPort(host.Hostname(), "1") + "/",
		used:       make(map[net.Conn]bool),
		failures:   make(map[string]int),
		unexpected: make(map[string]error),
	}
}

// serveMixed starts the servers at the address.
func serveMixed(t *testing.T, addr string) *mixedServers {
	t.Helper()
	s := &mixedServers{servers: make(map[string]*server)}
	for _, mode := range modes {
		s.servers[mode] = serveAt(t, addr, mode, s.handler(mode), func(h *http.Server) {
			h.IdleTimeout = staleAfter
			h.ErrorLog = log.New(io.Discard, "", 0)
		})
	}
	s.foreign = &server{Server: httptest.NewUnstartedServer(http.NotFoundHandler())}
	s.foreign.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.foreign.listen(t, addr)
	s.foreign.StartTLS() // with httptest's own certificate
	t.Cleanup(s.foreign.Close)
	return s
}

func (s *mixedServers) urls() map[string]string {
	urls := map[string]string{"foreign": s.foreign.URL}
	for mode, one := range s.servers {
		urls[mode] = one.URL
	}
	return urls
}

func (s *mixedServers) template() *http.Transport {
	tmpl := s.servers["h2"].template("h2")
	tmpl.ExpectContinueTimeout = time.Minute
	return tmpl
}

// handler answers by returning, and does not by panicking.
func (s *mixedServers) handler(mode string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Write(b)
	})
	mux.HandleFunc("/hints", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		io.WriteString(w, "ok")
	})
	mux.HandleFunc("/no", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusExpectationFailed) })
	mux.HandleFunc("/small", func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 50_000)) })
	mux.HandleFunc("/large", func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 1<<20)) })
	// A word after the client's end would be answered by a RST, and end its TIME_WAIT.
	mux.HandleFunc("/upgrade", func(w http.ResponseWriter, r *http.Request) { upgradesWith(w, r, "") })
	mux.HandleFunc("/never", func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/stalls", func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("/abort", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/torn", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "part")
		w.(http.Flusher).Flush()
		s.servers[mode].answer(r)
		panic(http.ErrAbortHandler)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.running.Add(1)
		defer s.running.Add(-1)
		mux.ServeHTTP(w, r)
	})
}

// run sends n requests. While they go on, one server at a time gets none, so
// that it closes what it has idle.
func (l *mixedLoad) run(rt http.RoundTripper, n int) {
	const rounds = 12
	for round := range rounds {
		var left atomic.Int64
		left.Store(int64(n*(round+1)/rounds - n*round/rounds))
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				for left.Add(-1) >= 0 {
					mode := modes[(round+1+rand.N(len(modes)-1))%len(modes)]
					l.send(rt, kinds[rand.N(len(kinds))], l.urls[mode])
				}
			})
		}
		wg.Wait()
	}
}

func (l *mixedLoad) send(rt http.RoundTripper, k kind, url string) {
	err := k.send(l, rt, url)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case errors.Is(err, dialer.ErrPortsExhausted): // counted by trip
	case err != nil && k.fails:
		l.failures[k.name]++
	case err != nil:
		l.unexpected[k.name] = err
	case k.fails:
		l.unexpected[k.name] = errors.New("it succeeded, and was to fail")
	}
}

// trip is a RoundTrip of which is noted what a trace tells.
func (l *mixedLoad) trip(rt http.RoundTripper, req *http.Request) (*http.Response, error) {
	var last net.Conn
	ctx := httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if info.Reused {
			l.reused.Add(1)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if _, known := l.used[info.Conn]; !known {
			l.used[info.Conn] = false
		}
		last = info.Conn
	}})
	resp, err := rt.RoundTrip(req.WithContext(ctx))
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.refused++
		if errors.Is(err, dialer.ErrPortsExhausted) {
			l.exhausted++
		}
		return nil, err
	}
	l.used[last] = true
	return resp, nil
}

// finish reads a response to its end.
func (l *mixedLoad) finish(resp *http.Response, err error) error {
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

func (l *mixedLoad) closeEarly(resp *http.Response, err error) error {
	if err != nil {
		return err
	}
	resp.Body.Read(make([]byte, 10))
	return resp.Body.Close()
}

// barren is the number of connections that were given to requests, none of which
// got an answer there.
func (l *mixedLoad) barren() (n uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, answered := range l.used {
		if !answered {
			n++
		}
	}
	return n
}

// failed is the number of RoundTrips that returned an error.
func (l *mixedLoad) failed() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refused
}

// awaitServers waits until no handler is running.
func (s *mixedServers) awaitServers(t *testing.T) {
	t.Helper()
	await(t, "the servers to be at rest", func() bool { return s.running.Load() == 0 })
}

// truth is what the servers counted.
type truth struct {
	Answers, Served, Accepts uint64
	Handshakes, Resumed      uint64 // TLS
	Running                  int64  // handlers
}

func (s *mixedServers) truth() (sum truth) {
	sum.Accepts = uint64(s.foreign.accepts.Load())
	for _, one := range s.servers {
		sum.Answers += uint64(one.answers.Load())
		sum.Served += uint64(one.served())
		sum.Accepts += uint64(one.accepts.Load())
		sum.Resumed += uint64(one.resumed.Load())
		sum.Handshakes += uint64(one.full.Load() + one.resumed.Load())
	}
	return sum
}

// upgrade exchanges a word on an upgraded connection and closes it.
func (l *mixedLoad) upgrade(rt http.RoundTripper, url string) error {
	req := loadRequest("GET", url+"/upgrade", nil)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "echo")
	resp, err := l.trip(rt, req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	rwc, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	if strings.HasPrefix(url, "https:") {
		l.secret.Add(1)
	}
	u := &upgraded{rwc, bufio.NewReader(rwc)}
	if err := u.tryExpect("welcome"); err != nil {
		return err
	}
	return u.tryEcho("word")
}
