package shadow_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stayopen-go/stayopen/transport/shadow"
)

// eventful answers at once, never, with a long body, or when told.
func eventful(arrived chan<- struct{}, release <-chan struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/never":
			arrived <- struct{}{}
			<-r.Context().Done()
			panic(http.ErrAbortHandler) // an answer could still overtake the client's leaving
		case "/gate":
			arrived <- struct{}{}
			<-release
		case "/long":
			io.Copy(w, io.LimitReader(zeros{}, 1<<20))
			return
		}
		io.WriteString(w, "hello")
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// refusedAddr is an address where nobody listens.
func refusedAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func TestWhatTheTransportDidIsCountedAsTheServerCountsIt(t *testing.T) {
	for _, mode := range []string{"h1", "https1", "h2"} {
		t.Run(mode, func(t *testing.T) {
			const size, cancels, left, refused = 40, 7, 5, 6
			arrived, release := make(chan struct{}, size), make(chan struct{})
			s := serve(t, mode, eventful(arrived, release))
			base := s.likeDefault(t)
			toServer, nobody := base.DialContext, refusedAddr(t)
			base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if strings.HasPrefix(addr, "refused.") {
					return new(net.Dialer).DialContext(ctx, network, nobody)
				}
				return toServer(ctx, network, addr)
			}
			sh := watch(t, base)
			scheme := map[bool]string{true: "http", false: "https"}[mode == "h1"]
			url := scheme + "://a.example"

			var burst sync.WaitGroup
			for range size {
				burst.Go(func() { get(t, sh, url+"/gate") })
			}
			for range size {
				<-arrived // all are under way at once
			}
			close(release)
			burst.Wait()
			for range size {
				burst.Go(func() { get(t, sh, url+"/") })
			}
			burst.Wait()
			for range cancels {
				cancelOne(t, sh, url+"/never", arrived)
			}
			for range left {
				leave(t, sh, url+"/long")
			}
			for range refused {
				if _, err := sh.RoundTrip(request(t, scheme+"://refused.example/")); err == nil {
					t.Error("a dial to a closed port did not fail")
				}
			}

			stats := settled(t, s, sh)
			if mode != "h1" { // a surplus dial may still be at it
				wait(t, func() bool {
					stats = sh.Stats()
					return stats.Handshakes == stats.Opened
				}, func() string {
					return fmt.Sprintf("%d TLS handshakes on %d connections", stats.Handshakes, stats.Opened)
				})
			}
			want := shadow.Counts{
				Requests:    2*size + cancels + left + refused,
				Failed:      cancels + refused,
				Sent:        2*size + cancels + left,
				Exchanges:   2*size + left,
				Opened:      uint64(s.accepts.Load()),
				FailedDials: refused,
				Bodies:      2 * size,
				Abandoned:   left,
				// Held to other figures below.
				Reused: stats.Reused, NotKept: stats.NotKept, Handshakes: stats.Handshakes,
			}
			if stats.Counts != want {
				t.Errorf("counted\n%+v, want\n%+v", stats.Counts, want)
			}
			if mode == "h2" {
				if stats.NotKept != 0 || stats.Reused != stats.Sent-1 {
					t.Errorf("%d not kept and %d of %d requests on a connection that was not new, want 0 and all but the first", stats.NotKept, stats.Reused, stats.Sent)
				}
			} else if kept := stats.Opened - stats.NotKept; kept > stats.Opened || stats.NotKept < size-2 {
				t.Errorf("%d of %d connections not kept, want at least the %d beyond 2 of the first burst", stats.NotKept, stats.Opened, size-2)
			}
			if mode == "h1" && stats.Handshakes != 0 {
				t.Errorf("%d TLS handshakes without TLS", stats.Handshakes)
			}
			checkOrigins(t, sh, scheme, stats)
		})
	}
}

// checkOrigins holds the figures by origin against their sum.
func checkOrigins(t *testing.T, sh *shadow.Transport, scheme string, stats shadow.Stats) {
	t.Helper()
	port := map[string]string{"http": "80", "https": "443"}[scheme]
	a, refused := scheme+"://a.example:"+port, scheme+"://refused.example:"+port
	all := sh.Origins()
	if len(all) != 2 || all[a].Opened != stats.Opened || all[refused].FailedDials != stats.FailedDials || all[refused].Opened != 0 {
		t.Errorf("by origin %+v, want all connections at %s and all failures at %s", all, a, refused)
	}
}

func request(t *testing.T, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// cancelOne cancels a request when the server has it.
func cancelOne(t *testing.T, rt http.RoundTripper, url string, arrived <-chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { // ends when the request arrives
		<-arrived
		cancel()
	}()
	resp, err := rt.RoundTrip(request(t, url).WithContext(ctx))
	if err == nil {
		resp.Body.Close()
		t.Error("a canceled request was answered")
	}
}

func TestSurplusDialsAreCountedAfterTheirRequestsHaveGone(t *testing.T) {
	s := serve(t, "h1", waiting)
	base := s.likeDefault(t)
	toServer, dialing, goOn := base.DialContext, make(chan struct{}), make(chan struct{})
	dials := sync.OnceFunc(func() { close(dialing) })
	base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials()
		<-goOn
		return toServer(ctx, network, addr)
	}
	sh := watch(t, base)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() { // ends with the request
		_, err := sh.RoundTrip(request(t, "http://a.example/").WithContext(ctx))
		gone <- err
	}()
	<-dialing
	cancel()
	if err := <-gone; err == nil {
		t.Fatal("a request without a connection was answered")
	}
	close(goOn)
	wait(t, func() bool { return sh.Stats().Opened == 1 }, func() string {
		return fmt.Sprintf("got %+v, want the connection counted that nobody waited for", sh.Stats().Counts)
	})
	// A request that comes before http.Transport has put the connection aside has
	// another dialed.
	wait(t, func() bool { get(t, sh, "http://a.example/"); return sh.Stats().Reused > 0 }, func() string {
		return fmt.Sprintf("got %+v, want a request on that connection", sh.Stats().Counts)
	})
	if c := sh.Stats().Counts; c.Opened > 2 {
		t.Errorf("got %+v, want at most one connection more", c)
	}
}

func TestConnectionsOfADialFunctionWithoutHooksAreCountedWhenUsed(t *testing.T) {
	s := serve(t, "h1", waiting)
	base := s.likeDefault(t)
	base.DialContext = func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("tcp", s.Listener.Addr().String())
	}
	base.MaxIdleConnsPerHost = -1 // each connection serves once
	sh := watch(t, base)
	for range 5 {
		get(t, sh, "http://a.example/")
	}
	if got := settled(t, s, sh); got.Opened != 5 {
		t.Errorf("%d connections opened, want 5", got.Opened)
	}
}

func TestManyOriginsShareOneCount(t *testing.T) {
	const hosts, limit = 1030, 1024
	s := serve(t, "h1", waiting)
	sh := watch(t, s.likeDefault(t))
	for i := range hosts {
		get(t, sh, fmt.Sprintf("http://h%d.example/", i))
	}
	all := sh.Origins()
	if len(all) != limit+1 || all["_other"].Exchanges != hosts-limit {
		t.Errorf("%d origins, _other with %d exchanges; want %d and %d", len(all), all["_other"].Exchanges, limit+1, hosts-limit)
	}
	if got := settled(t, s, sh); got.Exchanges != hosts || got.Opened != hosts {
		t.Errorf("%d exchanges on %d connections in all, want %d on as many", got.Exchanges, got.Opened, hosts)
	}
}

func TestHostsBehindAnHTTPProxyShareTheModelsConnections(t *testing.T) {
	proxy := serve(t, "h1", waiting) // it answers for everybody
	base := proxy.likeDefault(t)
	base.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse("http://proxy.example:3128") }
	sh := watch(t, base)
	for i := range 10 {
		get(t, sh, fmt.Sprintf("http://h%d.example/", i))
	}
	st := settled(t, proxy, sh)
	if st.Opened != 1 || st.Default.Opened != 1 || st.StayOpen.Opened != 1 {
		t.Errorf("%+v, want one connection, counted and estimated", st)
	}
	if n := len(sh.Origins()); n != 10 {
		t.Errorf("%d origins, want 10", n)
	}
}

func TestOriginsHaveTheirPortsAndASCIINames(t *testing.T) {
	s := serve(t, "h1", waiting)
	sh := watch(t, s.likeDefault(t))
	for _, u := range []string{"http://a.example", "http://a.example:80/x", "http://a.example:8080/", "http://bücher.example/", "http://[::1]/"} {
		get(t, sh, u)
	}
	want := map[string]uint64{
		"http://a.example:80": 2, "http://a.example:8080": 1, "http://xn--bcher-kva.example:80": 1, "http://[::1]:80": 1,
	}
	got := make(map[string]uint64)
	for origin, c := range sh.Origins() {
		got[origin] = c.Exchanges
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if st := sh.Stats(); st.Default.Opened != st.Opened {
		t.Errorf("%d connections, the model says %d: are these names its own keys?", st.Opened, st.Default.Opened)
	}
}
