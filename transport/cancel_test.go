package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/transport"
)

// place is a point on a request's way at which it is given up.
type place struct {
	name  string
	modes []string
	// arrange readies a template on which requests to s get stuck there. What it
	// returns makes such a request; its context leads to the turn that is to be
	// told when the request is there.
	arrange func(t *testing.T, s *stuck, tmpl *http.Transport) func(ctx context.Context) *http.Request
}

// turn is one attempt to give up a request.
type turn struct {
	number  string
	reached chan struct{} // closed when the request is where it is to be given up
	once    sync.Once
}

type turnKey struct{}

// reachedBy says that the request with this context, or a dial for it, is where
// it is to be given up.
func reachedBy(ctx context.Context) {
	if turn, ok := ctx.Value(turnKey{}).(*turn); ok {
		turn.once.Do(func() { close(turn.reached) })
	}
}

func (t *turn) done() bool {
	select {
	case <-t.reached:
		return true
	default:
		return false
	}
}

// stuck is a server whose handlers hang until the end of the test.
type stuck struct {
	*server
	turns sync.Map // of *turn, by number
	end   chan struct{}
	once  sync.Once
}

func serveStuck(t *testing.T, mode string) *stuck {
	s := &stuck{end: make(chan struct{})}
	s.server = serveWith(t, mode, s, func(c *http.Server) { c.ErrorLog = log.New(io.Discard, "", 0) })
	t.Cleanup(s.release) // before the server's Close, which waits for handlers
	return s
}

func (s *stuck) release() { s.once.Do(func() { close(s.end) }) }

func (s *stuck) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/body":
		io.WriteString(w, "part")
		http.NewResponseController(w).Flush()
	case "/headers":
		if v, ok := s.turns.Load(r.Header.Get("Turn")); ok {
			reachedBy(context.WithValue(r.Context(), turnKey{}, v))
		}
	}
	<-s.end
	panic(http.ErrAbortHandler) // or the server would wait a while for the rest of an upload
}

// mute is the address of a server that accepts and never says a word.
func (s *stuck) mute(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				<-s.end
				c.Close()
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.release()
		wg.Wait()
	})
	return l.Addr().String()
}

// to makes requests without a body.
func to(t *testing.T, url string) func(context.Context) *http.Request {
	return func(ctx context.Context) *http.Request { return newRequest(t, "GET", url, nil).WithContext(ctx) }
}

var places = []place{
	{"waiting for a slot", []string{"h1", "https1"}, func(t *testing.T, s *stuck, tmpl *http.Transport) func(context.Context) *http.Request {
		tmpl.MaxConnsPerHost = 1 // and giveUp occupies the connection
		return func(ctx context.Context) *http.Request {
			return to(t, s.URL+"/slot")(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GetConn: func(string) { reachedBy(ctx) }}))
		}
	}},
	{"dialing", modes, func(t *testing.T, s *stuck, tmpl *http.Transport) func(context.Context) *http.Request {
		tmpl.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			reachedBy(ctx)
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return to(t, s.URL)
	}},
	{"waiting for a tunnel", []string{"https1", "h2"}, func(t *testing.T, s *stuck, tmpl *http.Transport) func(context.Context) *http.Request {
		tmpl.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: s.mute(t)})
		tmpl.GetProxyConnectHeader = func(ctx context.Context, _ *url.URL, _ string) (http.Header, error) {
			reachedBy(ctx)
			return nil, nil
		}
		return to(t, s.URL)
	}},
	{"in the TLS handshake", []string{"https1", "h2"}, func(t *testing.T, s *stuck, tmpl *http.Transport) func(context.Context) *http.Request {
		url := "https://" + s.mute(t)
		return func(ctx context.Context) *http.Request {
			return to(t, url)(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{TLSHandshakeStart: func() { reachedBy(ctx) }}))
		}
	}},
	{"sending the body", modes, func(t *testing.T, s *stuck, tmpl *http.Transport) func(context.Context) *http.Request {
		return func(ctx context.Context) *http.Request {
			return newRequest(t, "POST", s.URL+"/upload", readerFunc(func(p []byte) (int, error) {
				reachedBy(ctx) // endless, and the server does not read it
				return len(p), nil
			})).WithContext(ctx)
		}
	}},
	{"awaiting headers", modes, func(t *testing.T, s *stuck, tmpl *http.Transport) func(context.Context) *http.Request {
		return to(t, s.URL+"/headers")
	}},
	{"reading the body", modes, func(t *testing.T, s *stuck, tmpl *http.Transport) func(context.Context) *http.Request {
		return to(t, s.URL+"/body") // giveUp says when
	}},
}

var errFedUp = errors.New("fed up")

// ways are how a request is given up: when its place is reached, or so long
// after it began.
var ways = map[string]func(c *http.Client, req *http.Request, reached <-chan struct{}, patience time.Duration) (*http.Request, func()){
	"http.Client.Timeout": func(c *http.Client, req *http.Request, _ <-chan struct{}, patience time.Duration) (*http.Request, func()) {
		c.Timeout = patience
		return req, func() {}
	},
	"cancel": func(_ *http.Client, req *http.Request, reached <-chan struct{}, _ time.Duration) (*http.Request, func()) {
		ctx, cancel := context.WithCancel(req.Context())
		go when(ctx, reached, cancel)
		return req.WithContext(ctx), cancel
	},
	"cancel with a cause": func(_ *http.Client, req *http.Request, reached <-chan struct{}, _ time.Duration) (*http.Request, func()) {
		ctx, cancel := context.WithCancelCause(req.Context())
		go when(ctx, reached, func() { cancel(errFedUp) })
		return req.WithContext(ctx), func() { cancel(nil) }
	},
	"deadline": func(_ *http.Client, req *http.Request, _ <-chan struct{}, patience time.Duration) (*http.Request, func()) {
		ctx, cancel := context.WithTimeout(req.Context(), patience)
		return req.WithContext(ctx), cancel
	},
	"deadline with a cause": func(_ *http.Client, req *http.Request, _ <-chan struct{}, patience time.Duration) (*http.Request, func()) {
		ctx, cancel := context.WithTimeoutCause(req.Context(), patience, errFedUp)
		return req.WithContext(ctx), cancel
	},
	"Request.Cancel": func(_ *http.Client, req *http.Request, reached <-chan struct{}, _ time.Duration) (*http.Request, func()) {
		ctx, cancel := context.WithCancel(context.Background())
		ch := make(chan struct{})
		go when(ctx, reached, func() { close(ch) })
		req.Cancel = ch
		return req, cancel
	},
	"Request.Cancel beside http.Client.Timeout": func(c *http.Client, req *http.Request, reached <-chan struct{}, _ time.Duration) (*http.Request, func()) {
		c.Timeout = time.Minute
		ctx, cancel := context.WithCancel(context.Background())
		ch := make(chan struct{})
		go when(ctx, reached, func() { close(ch) })
		req.Cancel = ch
		return req, cancel
	},
}

// when calls f once reached is closed, unless ctx ends before.
func when(ctx context.Context, reached <-chan struct{}, f func()) {
	select {
	case <-reached:
		f()
	case <-ctx.Done():
	}
}

// giveUp sends a request and reports with what it failed. The patience is
// doubled until the place is reached within it.
func (s *stuck) giveUp(t *testing.T, rt http.RoundTripper, p place, request func(context.Context) *http.Request, way string) string {
	if p.name == "waiting for a slot" {
		occupied, err := rt.RoundTrip(newRequest(t, "GET", s.URL+"/body", nil))
		if err != nil {
			t.Fatal(err)
		}
		defer occupied.Body.Close()
	}
	for patience := 20 * time.Millisecond; patience < time.Minute; patience *= 2 {
		turn := &turn{number: fmt.Sprintf("%p %v", rt, patience), reached: make(chan struct{})}
		s.turns.Store(turn.number, turn)
		ctx := context.WithValue(context.Background(), turnKey{}, turn)
		client := &http.Client{Transport: rt}
		req, release := ways[way](client, request(ctx), turn.reached, patience)
		req.Header.Set("Turn", turn.number)
		resp, err := client.Do(req)
		if err == nil {
			reachedBy(ctx)
			_, err = io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		release()
		if turn.done() {
			return describe(err)
		}
	}
	t.Fatalf("no request ever got as far as %s", p.name)
	return ""
}

// describe is what a caller can find out about an error.
func describe(err error) string {
	var timeout interface{ Timeout() bool }
	return fmt.Sprintf("%v\ntimeout: %v, Canceled: %v, DeadlineExceeded: %v, the cause: %v", err,
		errors.As(err, &timeout) && timeout.Timeout(),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, errFedUp))
}

func TestRequestsAreGivenUpAsWithNetHTTP(t *testing.T) {
	for _, p := range places {
		for _, mode := range p.modes {
			for way := range ways {
				t.Run(strings.Join([]string{p.name, mode, way}, "/"), func(t *testing.T) {
					t.Parallel()
					s := serveStuck(t, mode)
					tmpl := s.template(mode)
					request := p.arrange(t, s, tmpl)
					sameOnBoth(t, tmpl, func(t *testing.T, rt http.RoundTripper) string {
						report := s.giveUp(t, rt, p, request, way)
						if tr, ok := rt.(*transport.Transport); ok {
							await(t, "the request to leave nothing behind", func() bool {
								st := tr.Stats()
								return st.Active == 0 && st.Waiting == 0
							})
						}
						return report
					})
				})
			}
		}
	}
}

// Every way to give up is told apart from the others by what it leads to in
// some place; otherwise the comparison above would prove little.
func TestWaysToGiveUpDiffer(t *testing.T) {
	s := serveStuck(t, "h1")
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	p := places[slices.IndexFunc(places, func(p place) bool { return p.name == "awaiting headers" })]
	request := p.arrange(t, s, tr)
	texts := make(map[string]string)
	for way := range ways {
		texts[way] = s.giveUp(t, tr, p, request, way)
	}
	for _, pair := range [][2]string{
		{"http.Client.Timeout", "deadline"}, {"deadline", "deadline with a cause"}, {"cancel", "cancel with a cause"},
		{"cancel", "deadline"}, {"cancel", "Request.Cancel"},
	} {
		if texts[pair[0]] == texts[pair[1]] {
			t.Errorf("%s and %s lead to the same error: %s", pair[0], pair[1], texts[pair[0]])
		}
	}
}
