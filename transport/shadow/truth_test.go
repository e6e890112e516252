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

// eventful answers at once, never, with a long body, or when it is released.
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

			get(t, sh, url+"/") // so that over HTTP/2 nobody dials who need not
			for range 2 {
				var burst sync.WaitGroup
				for range size {
					burst.Go(func() { get(t, sh, url+"/gate") })
				}
				for range size {
					<-arrived
				}
				for range size { // all are under way at once: each dial is needed
					release <- struct{}{}
				}
				burst.Wait()
			}
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
			want := shadow.Counts{
				Requests:    1 + 2*size + cancels + left + refused,
				Failed:      cancels + refused,
				Sent:        1 + 2*size + cancels + left,
				Exchanges:   1 + 2*size + left,
				FailedDials: refused,
				Bodies:      1 + 2*size,
				Abandoned:   left,
			}
			switch mode {
			case "h2":
				want.Opened = 1
			default: // two are idle after each burst, and a connection ends with what is canceled or left
				want.Opened = size + (size - 2) + (cancels + left - 2)
				want.NotKept = 2 * (size - 2)
			}
			want.Reused = want.Sent - want.Opened
			if mode != "h1" {
				want.Handshakes = want.Opened
			}
			if stats.Counts != want {
				t.Errorf("counted\n%+v, want\n%+v", stats.Counts, want)
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
