package transport_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/transport"
)

// hookLog notes the trace hooks of one request in the order in which they fire.
type hookLog struct {
	mu    sync.Mutex
	fired []string
	conn  httptrace.GotConnInfo

	waits chan struct{} // closed by Wait100Continue
	asked chan struct{} // closed by Got1xxResponse, if it is 100
	wrote chan struct{} // closed by WroteRequest
}

func newHookLog() *hookLog {
	return &hookLog{waits: make(chan struct{}), asked: make(chan struct{}), wrote: make(chan struct{})}
}

func (l *hookLog) add(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fired = append(l.fired, fmt.Sprintf(format, args...))
}

func (l *hookLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.fired, "\n")
}

func (l *hookLog) gotConn() httptrace.GotConnInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn
}

func (l *hookLog) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn: func(addr string) { l.add("GetConn %s", addr) },
		GotConn: func(info httptrace.GotConnInfo) {
			l.add("GotConn reused=%v idle=%v", info.Reused, info.WasIdle)
			l.mu.Lock()
			l.conn = info
			l.mu.Unlock()
		},
		PutIdleConn:          func(err error) { l.add("PutIdleConn %v", err) },
		GotFirstResponseByte: func() { l.add("GotFirstResponseByte") },
		Got100Continue:       func() { l.add("Got100Continue") },
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			l.add("Got1xxResponse %d %v", code, h)
			if code == http.StatusContinue {
				close(l.asked)
			}
			return nil
		},
		DNSStart:          func(i httptrace.DNSStartInfo) { l.add("DNSStart %s", i.Host) },
		DNSDone:           func(i httptrace.DNSDoneInfo) { l.add("DNSDone %v", i.Err) },
		ConnectStart:      func(network, addr string) { l.add("ConnectStart %s %s", network, addr) },
		ConnectDone:       func(network, addr string, err error) { l.add("ConnectDone %s %s %v", network, addr, err) },
		TLSHandshakeStart: func() { l.add("TLSHandshakeStart") },
		TLSHandshakeDone: func(s tls.ConnectionState, err error) {
			l.add("TLSHandshakeDone %s %v", s.NegotiatedProtocol, err)
		},
		WroteHeaderField: func(name string, values []string) { l.add("WroteHeaderField %s %q", name, values) },
		WroteHeaders:     func() { l.add("WroteHeaders") },
		Wait100Continue: func() {
			l.add("Wait100Continue")
			close(l.waits)
		},
		WroteRequest: func(i httptrace.WroteRequestInfo) {
			l.add("WroteRequest %v", i.Err)
			close(l.wrote)
		},
	}
}

func (l *hookLog) traced(req *http.Request) *http.Request {
	return req.WithContext(httptrace.WithClientTrace(req.Context(), l.trace()))
}

// do sends a traced request and reads the response to its end.
func (l *hookLog) do(t *testing.T, rt http.RoundTripper, req *http.Request) {
	t.Helper()
	resp, err := rt.RoundTrip(l.traced(req))
	if err != nil {
		t.Errorf("%s %s: %v", req.Method, req.URL, err)
		return
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Errorf("%s %s: reading the body: %v", req.Method, req.URL, err)
	}
}

func newRequest(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func TestTraceHooksFireInTheOrderOfNetHTTP(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		// A request is written by one goroutine and its response read by
		// another. Each waits for the other, so that the order is the same each
		// time.
		var log *hookLog
		s := serve(t, mode, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/expect" { // HTTP/2 hides the header Expect
				<-log.waits
			}
			io.Copy(io.Discard, r.Body)
			<-log.wrote
			w.WriteHeader(http.StatusProcessing)
			io.WriteString(w, "body")
		}))
		tmpl := s.template(mode)
		tmpl.ExpectContinueTimeout = time.Minute
		// One address alone, with a name to look up.
		tmpl.DialContext = func(ctx context.Context, _, addr string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp4", addr)
		}
		if s.TLS != nil {
			tmpl.TLSClientConfig.ServerName = "127.0.0.1" // which the certificate is for
		}
		url := strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
		sameOnBoth(t, tmpl, func(t *testing.T, rt http.RoundTripper) string {
			var report strings.Builder
			for _, step := range []struct{ name, method, expect, body string }{
				{"cold", "GET", "", ""},
				{"warm", "GET", "", ""},
				{"with a body", "POST", "", "12345"},
				{"without a response body", "HEAD", "", ""},
				{"with a body that is asked for", "POST", "100-continue", "12345"},
			} {
				log = newHookLog()
				var body io.Reader
				if step.body != "" {
					body = strings.NewReader(step.body)
				}
				req := newRequest(t, step.method, url, body)
				if step.expect != "" {
					req.URL.Path = "/expect"
					req.Header.Set("Expect", step.expect)
					sent := req.Body
					req.Body = io.NopCloser(readerFunc(func(p []byte) (int, error) {
						<-log.asked
						return sent.Read(p)
					}))
				}
				log.do(t, rt, req)
				fmt.Fprintf(&report, "--- %s\n%s\n", step.name, log)
			}
			return report.String()
		})
	})
}

func TestGotConnTellsHowLongTheConnectionWasIdle(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		synctest.Test(t, func(t *testing.T) {
			hold := make(chan struct{})
			s, tmpl := newMemory().serve(t, mode, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/hold" {
					<-hold
				}
			}))
			sameOnBoth(t, tmpl, func(t *testing.T, rt http.RoundTripper) string {
				var report []string
				get := func(path string) {
					log := newHookLog()
					log.do(t, rt, newRequest(t, "GET", s.URL+path, nil))
					info := log.gotConn()
					report = append(report, fmt.Sprintf("%s reused=%v idle=%v for %v", path, info.Reused, info.WasIdle, info.IdleTime))
				}
				get("/cold")
				<-time.After(3 * time.Second)
				get("/after 3 s")
				get("/at once")
				if mode == "h2" { // where a connection in use takes more
					hold = make(chan struct{})
					done := make(chan struct{})
					go func() {
						defer close(done)
						get("/hold")
					}()
					<-time.After(time.Second)
					get("/beside another")
					close(hold)
					<-done
				}
				return strings.Join(report, "\n")
			})
		})
	})
}

func TestGotConnTellsAConnectionThatWasHandedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, tmpl := newMemory().serve(t, "h1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-time.After(time.Second)
		}))
		tmpl.MaxConnsPerHost = 1
		sameOnBoth(t, tmpl, func(t *testing.T, rt http.RoundTripper) string {
			first, second := newHookLog(), newHookLog()
			go first.do(t, rt, newRequest(t, "GET", s.URL, nil))
			synctest.Wait()
			second.do(t, rt, newRequest(t, "GET", s.URL, nil))
			return second.String()
		})
	})
}

func TestGotConnDoesNotCallAnUnusedConnectionReused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, tmpl := newMemory().serve(t, "h1", http.NotFoundHandler())
		dial, late := tmpl.DialContext, make(chan struct{})
		tmpl.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			<-late
			return dial(ctx, network, addr)
		}
		tr := newTransport(t, transport.Config{Template: tmpl})
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := tr.RoundTrip(newRequest(t, "GET", s.URL, nil).WithContext(ctx)); err == nil {
			t.Fatal("a request was answered without a connection")
		}
		close(late) // the dial goes on, and its connection lies idle
		<-time.After(time.Second)
		if got := tr.Stats(); got.Opened != 1 || got.Wasted != 1 || got.Idle != 1 {
			t.Errorf("%d opened, %d wasted, %d idle before a request uses it, want 1 of each", got.Opened, got.Wasted, got.Idle)
		}
		log := newHookLog()
		log.do(t, tr, newRequest(t, "GET", s.URL, nil))
		if got := log.gotConn(); got.Reused || !got.WasIdle || got.IdleTime != time.Second {
			t.Errorf("got reused %v, idle %v for %v, want false, true, 1 s: no request had used the connection", got.Reused, got.WasIdle, got.IdleTime)
		}
		if got := tr.Stats(); got.Opened != 1 || got.Reused != 0 || got.Wasted != 0 {
			t.Errorf("%d opened, %d reused, %d wasted after it, want 1, 0 and 0", got.Opened, got.Reused, got.Wasted)
		}
	})
}

func TestGotConnShowsWhatWasDialed(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		s := serve(t, mode, http.NotFoundHandler())
		tr, _ := forServer(t, s, mode)
		log := newHookLog()
		log.do(t, tr, newRequest(t, "GET", s.URL, nil))
		want := "*tls.Conn"
		if mode == "h1" {
			want = "*dialer.Conn"
		}
		c := log.gotConn().Conn
		if got := fmt.Sprintf("%T", c); got != want {
			t.Errorf("GotConnInfo.Conn is a %s, want a %s", got, want)
		}
		if tc, ok := c.(*tls.Conn); ok {
			c = tc.NetConn()
			if got, want := tc.ConnectionState().NegotiatedProtocol, map[string]string{"https1": "", "h2": "h2"}[mode]; got != want {
				t.Errorf("its TLS speaks %q, want %q", got, want)
			}
		}
		if _, ok := c.(*dialer.Conn); !ok {
			t.Errorf("the TCP connection is a %T, want a *dialer.Conn", c)
		}
	})
}

// The hooks write their variables without a lock: the race detector is the
// judge of "never after RoundTrip has returned".
func TestDialOutlivesItsRequestAndItsTraceDoesNot(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		s := serve(t, mode, http.NotFoundHandler())
		type key struct{}
		dialing, goOn := make(chan context.Context, 1), make(chan struct{})
		tmpl := s.template(mode)
		tmpl.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dialing <- ctx
			<-goOn
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
		tr := newTransport(t, transport.Config{Template: tmpl})

		hooks := 0
		count := func() { hooks++ }
		ctx := httptrace.WithClientTrace(context.WithValue(context.Background(), key{}, "value"), &httptrace.ClientTrace{
			GetConn:           func(string) { count() },
			GotConn:           func(httptrace.GotConnInfo) { count() },
			ConnectStart:      func(string, string) { count() },
			ConnectDone:       func(string, string, error) { count() },
			TLSHandshakeStart: count,
			TLSHandshakeDone:  func(tls.ConnectionState, error) { count() },
			WroteRequest:      func(httptrace.WroteRequestInfo) { count() },
		})
		ctx, cancel := context.WithCancel(ctx)
		var dialCtx context.Context
		go func() {
			dialCtx = <-dialing
			cancel()
		}()
		if _, err := tr.RoundTrip(newRequest(t, "GET", s.URL, nil).WithContext(ctx)); err != context.Canceled {
			t.Fatalf("RoundTrip: %v, want %v", err, context.Canceled)
		}
		hooks++ // races with a hook that fires now or later
		if got := dialCtx.Value(key{}); got != "value" {
			t.Errorf("the dial's context has %v for the request's value, want it", got)
		}
		if err := dialCtx.Err(); err != nil {
			t.Errorf("the dial's context has ended with the request: %v", err)
		}
		close(goOn)
		mustGet(t, &http.Client{Transport: tr}, s.URL)
		if hooks != 2 {
			t.Errorf("%d hooks fired, want GetConn alone", hooks-1)
		}
		if got := s.accepts.Load(); got != 1 {
			t.Errorf("%d connections were opened, want the one that the canceled request began", got)
		}
	})
}

func TestLookupOutlivesItsRequestAndItsTraceDoesNot(t *testing.T) {
	s := serve(t, "h1", http.NotFoundHandler())
	asked, answer := make(chan struct{}, 4), make(chan struct{})
	tr := newTransport(t, transport.Config{Dialer: &dialer.Dialer{Resolver: &net.Resolver{
		PreferGo: true,
		Dial: func(context.Context, string, string) (net.Conn, error) {
			asked <- struct{}{}
			<-answer
			return nameServer(net.IPv4(127, 0, 0, 1)), nil
		},
	}}})
	url := strings.Replace(s.URL, "127.0.0.1", "site.example", 1)

	var lookups, others int
	ctx, cancel := context.WithCancel(httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		DNSStart:     func(httptrace.DNSStartInfo) { lookups++ },
		DNSDone:      func(httptrace.DNSDoneInfo) { others++ },
		ConnectStart: func(string, string) { others++ },
		ConnectDone:  func(string, string, error) { others++ },
	}))
	go func() {
		<-asked
		cancel()
	}()
	if _, err := tr.RoundTrip(newRequest(t, "GET", url, nil).WithContext(ctx)); err != context.Canceled {
		t.Fatalf("RoundTrip: %v, want %v", err, context.Canceled)
	}
	others++
	close(answer)
	mustGet(t, &http.Client{Transport: tr}, url)
	if lookups != 1 || others != 1 {
		t.Errorf("%d DNSStart and %d hooks after it fired, want 1 and 0", lookups, others-1)
	}
	if got := s.accepts.Load(); got != 1 {
		t.Errorf("%d connections were opened, want the one that the canceled request began", got)
	}
}
