package shadow_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayopen-go/stayopen/transport/shadow"
)

// roundTrip is a transport that is a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func TestTheResponseIsTheTransportsOwn(t *testing.T) {
	failure := errors.New("as it is")
	for _, want := range []*http.Response{
		nil,
		{StatusCode: 204, Body: http.NoBody},
		{StatusCode: 200, Request: request(t, "http://elsewhere.example/"), Body: http.NoBody},
		{StatusCode: 200, Body: nil},
	} {
		var wantErr error
		if want == nil {
			wantErr = failure
		}
		before := want
		var elsewhere *http.Request
		var body io.ReadCloser
		if want != nil {
			elsewhere, body = want.Request, want.Body
		}
		sh := watch(t, roundTrip(func(*http.Request) (*http.Response, error) { return want, wantErr }))
		got, err := sh.RoundTrip(request(t, "http://a.example/"))
		if got != before || err != wantErr {
			t.Errorf("got %v, %v, want the transport's %v, %v", got, err, before, wantErr)
		}
		if got != nil && (got.Request != elsewhere || got.Body != body) {
			t.Errorf("%+v was changed", got)
		}
	}
}

func TestTheResponseNamesTheCallersRequest(t *testing.T) {
	for _, mode := range []string{"h1", "h2"} {
		s := serve(t, mode, waiting)
		req := request(t, s.named())
		resp, err := watch(t, s.likeDefault(t)).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.Request != req {
			t.Errorf("%s: Response.Request is %p, want the caller's, %p", mode, resp.Request, req)
		}
	}
}

func TestWhatIsNotHTTPIsPassedOn(t *testing.T) {
	sh := watch(t, roundTrip(func(req *http.Request) (*http.Response, error) { return nil, errors.ErrUnsupported }))
	for _, req := range []*http.Request{{}, {URL: &url.URL{Scheme: "file", Path: "/x"}}} {
		if _, err := sh.RoundTrip(req); err != errors.ErrUnsupported {
			t.Errorf("got %v, want the transport's error", err)
		}
	}
	if c := sh.Stats().Counts; c != (shadow.Counts{}) {
		t.Errorf("counted %+v, want nothing", c)
	}
}

func TestTheRequestsOwnTraceIsCalledToo(t *testing.T) {
	for _, mode := range []string{"h1", "https1", "h2"} {
		s := serve(t, mode, waiting)
		record := func(rt http.RoundTripper) map[string]int {
			var mu sync.Mutex
			calls := make(map[string]int)
			count := func(hook string) {
				mu.Lock()
				defer mu.Unlock()
				calls[hook]++
			}
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
				GetConn:              func(string) { count("get") },
				GotConn:              func(httptrace.GotConnInfo) { count("got") },
				GotFirstResponseByte: func() { count("byte") },
				ConnectStart:         func(string, string) { count("start") },
				ConnectDone:          func(string, string, error) { count("done") },
				WroteHeaders:         func() { count("headers") },
			})
			resp, err := rt.RoundTrip(request(t, s.named()).WithContext(ctx))
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			// Over HTTP/2 the response may come before the hook for the request's header.
			done := func() map[string]int {
				mu.Lock()
				defer mu.Unlock()
				return maps.Clone(calls)
			}
			wait(t, func() bool { return len(done()) == 6 }, func() string {
				return fmt.Sprintf("%s: %v, want all six hooks", mode, done())
			})
			return done()
		}
		want := record(s.likeDefault(t))
		got := record(watch(t, s.likeDefault(t)))
		for hook, n := range want {
			if got[hook] != n {
				t.Errorf("%s: %s was called %d times, without the wrapper %d", mode, hook, got[hook], n)
			}
		}
	}
}

func TestAnUpgradedConnectionIsTheCallers(t *testing.T) {
	s := serve(t, "h1", func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		rw.Flush()
		io.Copy(c, rw)
	})
	sh := watch(t, s.likeDefault(t))
	req := request(t, "http://a.example/")
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "echo")
	resp, err := sh.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	conn, ok := resp.Body.(interface {
		io.ReadWriteCloser
		CloseWrite() error
	})
	if !ok {
		t.Fatalf("the body is a %T, want one to write to, as without the wrapper", resp.Body)
	}
	if _, err := io.WriteString(conn, "there and back\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); line != "there and back\n" {
		t.Errorf("got %q, %v", line, err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Error(err)
	}
	if st := sh.Stats(); st.Exchanges != 1 || st.StayOpen != (shadow.Estimate{Opened: 1, Closed: 1}) || st.Default != st.StayOpen {
		t.Errorf("%+v, want one exchange, on a connection that no pool gets back", st)
	}
}

func TestTrailersComeThrough(t *testing.T) {
	for _, mode := range []string{"h1", "h2"} {
		s := serve(t, mode, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "After")
			io.WriteString(w, "hello")
			w.Header().Set("After", "all")
		})
		resp, err := watch(t, s.likeDefault(t)).RoundTrip(request(t, s.named()))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, err := io.ReadAll(resp.Body); string(body) != "hello" || err != nil {
			t.Errorf("%s: got %q, %v", mode, body, err)
		}
		if got := resp.Trailer.Get("After"); got != "all" {
			t.Errorf("%s: the trailer is %q, want all", mode, got)
		}
	}
}

func TestClientTimeoutsEndRequestsAndBodies(t *testing.T) {
	for path, want := range map[string]shadow.Counts{
		"/header": {Requests: 1, Failed: 1},
		"/body":   {Requests: 1, Exchanges: 1, Broken: 1},
	} {
		for _, mode := range []string{"h1", "h2"} {
			synctest.Test(t, func(t *testing.T) {
				s := serveInMemory(t, newMemory(always(ms)), mode, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/body" {
						io.WriteString(w, "some")
						http.NewResponseController(w).Flush()
					}
					<-r.Context().Done()
				})
				sh := watch(t, s.likeDefault(t))
				client := &http.Client{Transport: sh, Timeout: 50 * ms}
				begin := time.Now()
				resp, err := client.Get(s.named() + path)
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				if !os.IsTimeout(err) && !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != client.Timeout {
					t.Errorf("%s %s: got %v after %v, want a timeout after %v", mode, path, err, time.Since(begin), client.Timeout)
				}
				if c := sh.Stats().Counts; c.Failed != want.Failed || c.Exchanges != want.Exchanges || c.Broken != want.Broken {
					t.Errorf("%s %s: counted %+v, want %+v", mode, path, c, want)
				}
			})
		}
	}
}

// closeIdler counts.
type closeIdler struct {
	roundTrip
	n int
}

func (c *closeIdler) CloseIdleConnections() { c.n++ }

func TestCloseIdleConnectionsReachesTheTransport(t *testing.T) {
	base := new(closeIdler)
	(&http.Client{Transport: watch(t, base)}).CloseIdleConnections()
	if base.n != 1 {
		t.Errorf("called %d times, want once", base.n)
	}
	(&http.Client{Transport: watch(t, base.roundTrip)}).CloseIdleConnections() // has no such method

	synctest.Test(t, func(t *testing.T) { // where dials all take the same time, in the models as well
		s := serveInMemory(t, newMemory(always(ms)), "h1", waiting)
		sh := watch(t, s.likeDefault(t))
		for range 3 {
			get(t, sh, "http://a.example/")
			<-time.After(ms)
			sh.CloseIdleConnections()
		}
		if st := sh.Stats(); st.Opened != 3 || st.StayOpen.Closed != 3 || st.Default.Closed != 3 {
			t.Errorf("%+v, want 3 connections, and all closed by the models, too", st)
		}
	})
}

// writerTo is a transport's body, of a kind that io.Copy likes.
type writerTo struct{ io.Reader }

func (w writerTo) WriteTo(to io.Writer) (int64, error) { return io.Copy(to, w.Reader) }
func (writerTo) Close() error                          { return nil }

func TestABodysWriteToIsKept(t *testing.T) {
	sh := watch(t, roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, ContentLength: -1, Body: writerTo{strings.NewReader("hello")}}, nil
	}))
	for range 2 {
		resp, err := sh.RoundTrip(request(t, "http://a.example/"))
		if err != nil {
			t.Fatal(err)
		}
		to, ok := resp.Body.(io.WriterTo)
		if !ok {
			t.Fatal("the body has lost its WriteTo")
		}
		if n, err := to.WriteTo(io.Discard); n != 5 || err != nil {
			t.Errorf("wrote %d, %v, want 5", n, err)
		}
		resp.Body.Close()
	}
	st := sh.Stats()
	if st.Bodies != 2 || st.Abandoned != 0 || st.Default.Opened != 1 {
		t.Errorf("%+v, want 2 bodies read to their ends, and a model's one connection although no hook was called", st)
	}
}

func TestABadConfigIsRefused(t *testing.T) {
	for _, base := range []http.RoundTripper{nil, (*http.Transport)(nil)} {
		_, err := shadow.New(shadow.Config{Base: base})
		var bad *shadow.ConfigError
		if !errors.As(err, &bad) || bad.Field != "Base" || !strings.Contains(err.Error(), "Config.Base") {
			t.Errorf("got %v, want an error that names Base", err)
		}
	}
}

func TestRequestsGoOnAfterClose(t *testing.T) {
	s := serve(t, "h1", waiting)
	sh := watch(t, s.likeDefault(t))
	for range 2 {
		if err := sh.Close(); err != nil {
			t.Error(err)
		}
		get(t, sh, "http://a.example/")
	}
	if c := sh.Stats().Counts; c.Exchanges != 2 {
		t.Errorf("%d exchanges, want 2", c.Exchanges)
	}
}
