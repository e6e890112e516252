package transport_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/transport"
)

func TestSequentialRequestsShareOneConnection(t *testing.T) {
	for _, mode := range append([]string{"h2c"}, modes...) {
		t.Run(mode, func(t *testing.T) {
			s := serve(t, mode, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }))
			tr, c := forServer(t, s, mode)
			want := "HTTP/1.1"
			if strings.HasPrefix(mode, "h2") {
				want = "HTTP/2.0"
			}
			for range 10 {
				body, resp := mustGet(t, c, s.URL)
				if body != want {
					t.Errorf("the server saw %s, want %s", body, want)
				}
				if got, want := resp.TLS != nil, s.TLS != nil && mode != "h2c"; got != want {
					t.Errorf("Response.TLS is set: %v, want %v", got, want)
				}
			}
			if got := s.accepts.Load(); got != 1 {
				t.Errorf("the server accepted %d connections for 10 requests in a row, want 1", got)
			}
			got := tr.Stats()
			got.Waited, got.WaitTime = 0, 0 // for the dial; in no time, it may be
			if n := got.OpenedBecause.Of(transport.OpenFirst); n != 1 {
				t.Errorf("%d connections were opened as the first, want 1", n)
			}
			got.OpenedBecause = transport.OpenCounts{}
			want10 := transport.Stats{Requests: 10, Exchanges: 10, Opened: 1, Served: 1, Reused: 9, ClosesAvoided: 9, Open: 1, Idle: 1}
			if s.TLS != nil && mode != "h2c" {
				want10.TLSHandshakes = 1
			}
			if got != want10 {
				t.Errorf("Stats\n got %+v\nwant %+v", got, want10)
			}
		})
	}
}

func TestConcurrentRequestsOverHTTP2ShareOneConnectionFromTheFirstOn(t *testing.T) {
	const n = 50
	var all sync.WaitGroup
	all.Add(n)
	s := serve(t, "h2", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		all.Done()
		all.Wait() // all of them at once
	}))
	_, c := forServer(t, s, "h2")
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if _, _, err := get(c, s.URL); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := s.accepts.Load(); got != 1 {
		t.Errorf("the server accepted %d connections, want 1", got)
	}
}

func TestPeerLimitOnStreamsIsKeptFromTheStart(t *testing.T) {
	const limit, n = 5, 60
	var running, most atomic.Int64
	s := serveLimited(t, limit, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := running.Add(1)
		for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
		}
		<-time.After(time.Millisecond)
		running.Add(-1)
	}))
	tmpl := s.template("h2")
	tmpl.MaxConnsPerHost = 1
	tr := newTransport(t, transport.Config{Template: tmpl})
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if _, _, err := get(&http.Client{Transport: tr}, s.URL); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := most.Load(); got > limit {
		t.Errorf("%d streams ran at once, the server allows %d", got, limit)
	}
	if st := tr.Stats(); st.Opened != 1 || st.Exchanges != n || st.Retries != 0 {
		t.Errorf("%d opened, %d exchanges, %d retries, want 1, %d and 0: a stream was opened that the server had not allowed", st.Opened, st.Exchanges, st.Retries, n)
	}
}

func TestGzipIsAskedForAndDecodedUnlessTheCallerAsked(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		s := serve(t, mode, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") == "gzip" {
				w.Header().Set("Content-Encoding", "gzip")
				zw := gzip.NewWriter(w)
				io.WriteString(zw, "hello")
				zw.Close()
			}
		}))
		tr, c := forServer(t, s, mode)
		body, resp := mustGet(t, c, s.URL)
		if body != "hello" || !resp.Uncompressed {
			t.Errorf("got %q, uncompressed %v, want hello, true", body, resp.Uncompressed)
		}
		req, _ := http.NewRequest("GET", s.URL, nil)
		req.Header.Set("Accept-Encoding", "gzip")
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if !bytes.HasPrefix(raw, []byte{0x1f, 0x8b}) || resp.Uncompressed {
			t.Errorf("asked for by the caller, the body must stay gzip; got % x", raw)
		}
		if got := tr.Stats(); got.Opened != 1 || got.Active != 0 {
			t.Errorf("after gzip responses: %d opened, %d active, want 1 and 0", got.Opened, got.Active)
		}
	})
}

func TestTrailersGoBothWays(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		s := serve(t, mode, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Header().Set("Trailer", "Answer")
			io.WriteString(w, "x")
			w.Header().Set("Answer", r.Trailer.Get("Question"))
		}))
		_, c := forServer(t, s, mode)
		req, _ := http.NewRequest("POST", s.URL, struct{ io.Reader }{strings.NewReader("body")})
		req.Trailer = http.Header{"Question": {"forty-two"}}
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if got := resp.Trailer.Get("Answer"); got != "forty-two" {
			t.Errorf("trailer Answer = %q, want forty-two", got)
		}
	})
}

func TestInformationalResponsesReachTheTraceAndAreNoExchanges(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		s := serve(t, mode, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", "</style.css>")
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusProcessing)
			io.WriteString(w, "ok")
		}))
		tr, c := forServer(t, s, mode)
		var codes []int
		ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, _ textproto.MIMEHeader) error { codes = append(codes, code); return nil },
		})
		req, _ := http.NewRequestWithContext(ctx, "GET", s.URL, nil)
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if fmt.Sprint(codes) != "[103 102]" {
			t.Errorf("1xx seen: %v, want [103 102]", codes)
		}
		if got := tr.Stats().Exchanges; got != 1 {
			t.Errorf("Exchanges = %d, want 1", got)
		}
	})
}

func TestExpectContinueSendsTheBodyOnlyWhenItIsWanted(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		s := serve(t, mode, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/no" {
				w.WriteHeader(http.StatusExpectationFailed)
				return
			}
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n)
		}))
		tmpl := s.template(mode)
		tmpl.ExpectContinueTimeout = time.Minute
		tr := newTransport(t, transport.Config{Template: tmpl})
		for path, want := range map[string]int{"/yes": 200, "/no": 417} {
			read := false
			body := readerFunc(func(p []byte) (int, error) {
				if read {
					return 0, io.EOF
				}
				read = true
				return copy(p, "12345"), nil
			})
			req, _ := http.NewRequest("POST", s.URL+path, body)
			req.Header.Set("Expect", "100-continue")
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s: status %d, want %d", path, resp.StatusCode, want)
			}
			if path == "/yes" && string(got) != "5" {
				t.Errorf("%s: the server read %s bytes, want 5", path, got)
			}
		}
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestBodyClosedEarlyKeepsTheConnectionWithinBounds(t *testing.T) {
	for size, keeps := range map[int]bool{100: true, 200 << 10: true, 8 << 20: false} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			s := serve(t, "h1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Write(make([]byte, size))
			}))
			tr, c := forServer(t, s, "h1")
			resp, err := c.Get(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if _, err := resp.Body.Read(make([]byte, 1)); err == nil || err == io.EOF {
				t.Errorf("Read after Close: %v, want an error", err)
			}
			await(t, "the lease to end", func() bool { return tr.Stats().Active == 0 })
			if got := tr.Stats().Open == 1; got != keeps {
				t.Errorf("connection kept: %v, want %v", got, keeps)
			}
		})
	}
}

func TestCancelRightAfterCloseDoesNotSpoilTheDrain(t *testing.T) {
	release := make(chan struct{})
	s := serve(t, "h1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "first")
		w.(http.Flusher).Flush()
		<-release
		io.WriteString(w, "rest")
	}))
	tr, c := forServer(t, s, "h1")
	ctx, cancel := context.WithCancel(context.Background())
	req, _ := http.NewRequestWithContext(ctx, "GET", s.URL, nil)
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	cancel()
	close(release)
	await(t, "the drain", func() bool { st := tr.Stats(); return st.Idle == 1 && st.Active == 0 })
}

func TestBadRequestsAreRefusedAsNetHTTPDoesAndTheirBodiesClosed(t *testing.T) {
	tr := newTransport(t, transport.Config{})
	good := func() *http.Request {
		req, _ := http.NewRequest("POST", "http://127.0.0.1:1/", nil)
		return req
	}
	for name, spoil := range map[string]func(*http.Request){
		"nil URL":          func(r *http.Request) { r.URL = nil },
		"nil header":       func(r *http.Request) { r.Header = nil },
		"unknown scheme":   func(r *http.Request) { r.URL.Scheme = "gopher" },
		"empty scheme":     func(r *http.Request) { r.URL.Scheme = "" },
		"no host":          func(r *http.Request) { r.URL.Host = "" },
		"bad header name":  func(r *http.Request) { r.Header["a b"] = []string{"x"} },
		"bad header value": func(r *http.Request) { r.Header["A"] = []string{"x\ny"} },
		"bad trailer":      func(r *http.Request) { r.Trailer = http.Header{"A": {"x\x00"}} },
		"bad method":       func(r *http.Request) { r.Method = "GET IT" },
	} {
		t.Run(name, func(t *testing.T) {
			var errs [2]string
			for i, rt := range []http.RoundTripper{&http.Transport{}, tr} {
				closed := make(chan struct{})
				req := good()
				req.Body = onClose{strings.NewReader("x"), func() { close(closed) }}
				spoil(req)
				resp, err := rt.RoundTrip(req)
				if err == nil {
					t.Fatalf("%T: status %d, want an error", rt, resp.StatusCode)
				}
				errs[i] = err.Error()
				select {
				case <-closed:
				default:
					t.Errorf("%T: the request's body was not closed", rt)
				}
			}
			if errs[0] != errs[1] {
				t.Errorf("error %q, want net/http's %q", errs[1], errs[0])
			}
		})
	}
	if st := tr.Stats(); st.Opened != 0 || st.Active != 0 {
		t.Errorf("bad requests opened %d connections, %d active, want none", st.Opened, st.Active)
	}
}

type onClose struct {
	io.Reader
	f func()
}

func (o onClose) Close() error { o.f(); return nil }

func TestClosedTransportRefuses(t *testing.T) {
	s := serve(t, "h1", http.NotFoundHandler())
	tr, c := forServer(t, s, "h1")
	mustGet(t, c, s.URL)
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	closed := false
	req, _ := http.NewRequest("POST", s.URL, onClose{strings.NewReader("x"), func() { closed = true }})
	if _, err := tr.RoundTrip(req); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("after Close: %v, want ErrClosed", err)
	}
	if !closed {
		t.Error("the request's body was not closed")
	}
	if err := tr.Close(); err != nil {
		t.Errorf("second Close: %v, want nil", err)
	}
}

// await waits for something that another goroutine does. How long it does so
// bounds nothing but how long a test takes that fails.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("waited a minute in vain for %s", what)
		}
		<-time.After(time.Millisecond)
	}
}
