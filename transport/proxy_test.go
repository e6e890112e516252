package transport_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stayopen-go/stayopen/transport"
)

// trusting is a template that trusts every test server. It speaks mode.
func trusting(mode string) *http.Transport {
	return &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true, CurvePreferences: peerCurves},
		ForceAttemptHTTP2: mode == "h2",
	}
}

// site answers each request when it has been written: net/http gives up a
// connection whose response overtakes the request by more than 50 ms.
type site struct{ log atomic.Pointer[hookLog] }

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	<-s.log.Load().wrote
	fmt.Fprintf(w, "%s %s %s %q", r.Proto, r.Host, r.RequestURI, r.Header["Proxy-Authorization"])
}

// report is what becomes of two requests to url, which leads to s, the second
// one on the warm connection.
func (s *site) report(t *testing.T, rt http.RoundTripper, url string) string {
	var report strings.Builder
	for _, warm := range []bool{false, true} {
		log := newHookLog()
		s.log.Store(log)
		resp, err := rt.RoundTrip(log.traced(newRequest(t, "GET", url+"/path?query", nil)))
		if err != nil {
			t.Fatalf("GET: %v", err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatalf("reading the body: %v", err)
		}
		resp.Body.Close()
		_, overTLS := log.gotConn().Conn.(*tls.Conn)
		fmt.Fprintf(&report, "%s\n%s %q, connection is TLS: %v, Response.TLS: %v\n", ofConnecting(log, warm), resp.Status, body, overTLS, resp.TLS != nil)
	}
	return report.String()
}

// ofConnecting leaves out of the hooks what does not depend on the route, or
// differs from net/http on purpose: which protocols TLS offers to a proxy, and
// GetConn's address on a warm connection, for which net/http takes the target
// instead of the proxy if it is one of HTTP/2.
func ofConnecting(log *hookLog, warm bool) string {
	var lines []string
	for line := range strings.Lines(log.String()) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case name == "WroteHeaders" || name == "WroteRequest" || name == "GotFirstResponseByte":
		case name == "TLSHandshakeDone" || name == "GetConn" && warm:
			lines = append(lines, name)
		default:
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return strings.Join(lines, "\n")
}

func TestRequestsGoThroughHTTPProxiesAsWithNetHTTP(t *testing.T) {
	for _, proxyMode := range []string{"h1", "https1"} {
		inModes(t, func(t *testing.T, mode string) {
			for name, user := range map[string]*url.Userinfo{
				"nobody": nil, "user": url.User("ann"), "password": url.UserPassword("ann", "p:w%"),
			} {
				t.Run("proxy "+proxyMode+" "+name, func(t *testing.T) {
					var target site
					s := serve(t, mode, &target)
					p := serveProxy(t, proxyMode)
					tmpl := trusting(mode)
					tmpl.Proxy = http.ProxyURL(p.as(user))
					tmpl.ProxyConnectHeader = http.Header{"X-To-Proxy": {"for CONNECT alone"}}
					sameOnBoth(t, tmpl, func(t *testing.T, rt http.RoundTripper) string {
						report := target.report(t, rt, s.URL)
						return report + p.log()
					})
					// Two transports, each with one connection.
					if got := p.accepts.Load(); got != 2 {
						t.Errorf("the proxy accepted %d connections of two transports, want 2", got)
					}
				})
			}
		})
	}
}

func TestProxyFunctionSeesTheRealRequest(t *testing.T) {
	s := serve(t, "h1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "direct") }))
	p := serve(t, "h1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "by proxy") }))
	through, err := url.Parse(p.URL)
	if err != nil {
		t.Fatal(err)
	}
	type key struct{}
	var saw []string
	tr := newTransport(t, transport.Config{Template: &http.Transport{Proxy: func(r *http.Request) (*url.URL, error) {
		saw = append(saw, fmt.Sprintf("%s %s %s %v", r.Method, r.URL.RequestURI(), r.Header.Get("Route"), r.Context().Value(key{})))
		switch r.Header.Get("Route") {
		case "proxy":
			return through, nil
		case "nowhere":
			return nil, errors.New("no way")
		}
		return nil, nil
	}}})
	for i, route := range []string{"direct", "proxy", "direct", "proxy"} {
		req := newRequest(t, "PUT", s.URL+"/some/path?q=1", nil)
		req.Header.Set("Route", route)
		body, _, err := get1(tr, req.WithContext(context.WithValue(req.Context(), key{}, i)))
		if err != nil {
			t.Fatal(err)
		}
		if want := map[string]string{"direct": "direct", "proxy": "by proxy"}[route]; body != want {
			t.Errorf("the request for route %s went %q, want %q", route, body, want)
		}
		if want := fmt.Sprintf("PUT /some/path?q=1 %s %d", route, i); saw[i] != want {
			t.Errorf("Proxy saw %q, want %q", saw[i], want)
		}
	}
	if s.accepts.Load() != 1 || p.accepts.Load() != 1 {
		t.Errorf("%d and %d connections to the site and to the proxy, want 1 each", s.accepts.Load(), p.accepts.Load())
	}
	req := newRequest(t, "GET", s.URL, nil)
	req.Header.Set("Route", "nowhere")
	if _, err := tr.RoundTrip(req); err == nil || err.Error() != "no way" {
		t.Errorf("Proxy's own error came out as %v, want it as it is", err)
	}
}

// get1 sends one request and reads its response.
func get1(rt http.RoundTripper, req *http.Request) (string, *http.Response, error) {
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return "", nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), resp, err
}

func TestHundredHostsShareTheConnectionsOfOneProxy(t *testing.T) {
	const hosts, limit = 100, 4
	var mu sync.Mutex
	asked := make(map[string]int)
	p := serve(t, "h1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked[r.RequestURI]++
		mu.Unlock()
		io.WriteString(w, r.Host)
	}))
	through, err := url.Parse(p.URL)
	if err != nil {
		t.Fatal(err)
	}
	tr := newTransport(t, transport.Config{Template: &http.Transport{Proxy: http.ProxyURL(through)}, MaxConnsPerHost: limit})
	visit := func(i int) {
		host := fmt.Sprintf("site%d.example", i)
		body, _, err := get1(tr, newRequest(t, "GET", "http://"+host+"/", nil))
		if err != nil || body != host {
			t.Errorf("GET of %s: got %q, %v", host, body, err)
		}
	}
	for i := range hosts {
		visit(i)
	}
	if got := p.accepts.Load(); got != 1 {
		t.Errorf("the proxy accepted %d connections for %d hosts in a row, want 1", got, hosts)
	}
	var wg sync.WaitGroup
	for i := range hosts {
		wg.Go(func() { visit(i) })
	}
	wg.Wait()
	if got := p.accepts.Load(); got > limit {
		t.Errorf("the proxy accepted %d connections for %d hosts at once, want at most %d, which is MaxConnsPerHost", got, hosts, limit)
	}
	for i := range hosts {
		if target := fmt.Sprintf("http://site%d.example/", i); asked[target] != 2 {
			t.Errorf("the proxy was asked %d times for %s, want 2", asked[target], target)
		}
	}
}

func TestConnectionsOfOneProxyUserServeNoOther(t *testing.T) {
	for _, mode := range []string{"h1", "https1"} {
		t.Run(mode, func(t *testing.T) {
			s := serve(t, mode, http.NotFoundHandler())
			p := serveProxy(t, "h1")
			type key struct{}
			tmpl := trusting(mode)
			tmpl.Proxy = func(r *http.Request) (*url.URL, error) { return p.as(r.Context().Value(key{}).(*url.Userinfo)), nil }
			tr := newTransport(t, transport.Config{Template: tmpl})
			for _, user := range []string{"ann", "bob", "ann", "bob"} {
				ctx := context.WithValue(context.Background(), key{}, url.UserPassword(user, "secret"))
				if _, _, err := get1(tr, newRequest(t, "GET", s.URL, nil).WithContext(ctx)); err != nil {
					t.Fatal(err)
				}
			}
			if got := p.accepts.Load(); got != 2 {
				t.Errorf("the proxy accepted %d connections for two users, want 2", got)
			}
		})
	}
}

func TestConnectHooksAreCalledAsByNetHTTP(t *testing.T) {
	s := serve(t, "https1", http.NotFoundHandler())
	p := serveProxy(t, "h1")
	type key struct{}
	for name, set := range map[string]func(*http.Transport, *[]string){
		"GetProxyConnectHeader": func(tmpl *http.Transport, saw *[]string) {
			tmpl.GetProxyConnectHeader = func(ctx context.Context, proxy *url.URL, target string) (http.Header, error) {
				*saw = append(*saw, fmt.Sprint(proxy, target, ctx.Value(key{})))
				return http.Header{"X-To-Proxy": {"asked for"}}, nil
			}
		},
		"GetProxyConnectHeader fails": func(tmpl *http.Transport, saw *[]string) {
			tmpl.GetProxyConnectHeader = func(context.Context, *url.URL, string) (http.Header, error) { return nil, errors.New("no header") }
		},
		"GetProxyConnectHeader of nil": func(tmpl *http.Transport, saw *[]string) {
			tmpl.GetProxyConnectHeader = func(context.Context, *url.URL, string) (http.Header, error) { return nil, nil }
		},
		"OnProxyConnectResponse": func(tmpl *http.Transport, saw *[]string) {
			tmpl.OnProxyConnectResponse = func(ctx context.Context, proxy *url.URL, req *http.Request, resp *http.Response) error {
				*saw = append(*saw, fmt.Sprint(proxy, ctx.Value(key{}), req.Method, req.URL, req.Host, req.Header, resp.Status))
				return nil
			}
		},
		"OnProxyConnectResponse fails": func(tmpl *http.Transport, saw *[]string) {
			tmpl.OnProxyConnectResponse = func(context.Context, *url.URL, *http.Request, *http.Response) error { return errors.New("not him") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			var saw []string
			tmpl := trusting("https1")
			tmpl.Proxy = http.ProxyURL(p.as(url.UserPassword("ann", "secret")))
			tmpl.ProxyConnectHeader = http.Header{"X-To-Proxy": {"constant"}}
			set(tmpl, &saw)
			sameOnBoth(t, tmpl, func(t *testing.T, rt http.RoundTripper) string {
				saw = nil
				ctx := context.WithValue(context.Background(), key{}, "value")
				_, resp, err := get1(rt, newRequest(t, "GET", s.URL, nil).WithContext(ctx))
				status := ""
				if resp != nil {
					status = resp.Status
				}
				return fmt.Sprintf("%s, %v\n%s\n%s", status, err, strings.Join(saw, "\n"), p.log())
			})
		})
	}
}

// answering is a TCP server that reads a request's header, writes answer and
// says no more.
func answering(t *testing.T, answer string) (addr string, accepts *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepts = new(atomic.Int64)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepts.Add(1)
			wg.Go(func() {
				defer c.Close()
				var head []byte
				for p := make([]byte, 1); !strings.HasSuffix(string(head), "\r\n\r\n"); head = append(head, p...) {
					if _, err := io.ReadFull(c, p); err != nil {
						return
					}
				}
				io.WriteString(c, answer)
				c.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, c) // or what is unread would make the end a reset
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return l.Addr().String(), accepts
}

func TestRefusedTunnelsReadAsWithNetHTTP(t *testing.T) {
	for name, answer := range map[string]string{
		"forbidden":      "HTTP/1.1 403 Forbidden\r\n\r\n",
		"own words":      "HTTP/1.1 407 Who are you?\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
		"created":        "HTTP/1.1 201 Created\r\n\r\n",
		"number alone":   "HTTP/1.1 599\r\n\r\n",
		"no HTTP":        "SSH-2.0-OpenSSH\r\n\r\n",
		"nothing":        "",
		"half a header":  "HTTP/1.1 200 OK\r\nX",
		"TLS that fails": "HTTP/1.1 200 OK\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			addr, accepts := answering(t, answer)
			tmpl := trusting("https1")
			tmpl.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: addr})
			sameOnBoth(t, tmpl, func(t *testing.T, rt http.RoundTripper) string {
				before := accepts.Load()
				_, _, err := get1(rt, newRequest(t, "GET", "https://site.example/", nil))
				var op *net.OpError
				return fmt.Sprintf("%v, in an OpError: %v, connections: %d", err, errors.As(err, &op), accepts.Load()-before)
			})
		})
	}
}

func TestUnreachableProxiesReadAsWithNetHTTP(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for _, scheme := range []string{"http", "https", "socks5", "socks5h"} {
		for _, target := range []string{"http://site.example/", "https://site.example/"} {
			t.Run(scheme+" for "+target[:5], func(t *testing.T) {
				tmpl := trusting("https1")
				tmpl.Proxy = http.ProxyURL(&url.URL{Scheme: scheme, Host: closed.Addr().String()})
				sameOnBoth(t, tmpl, func(t *testing.T, rt http.RoundTripper) string {
					_, _, err := get1(rt, newRequest(t, "GET", target, nil))
					var op *net.OpError
					return fmt.Sprintf("%v, in an OpError: %v", err, errors.As(err, &op) && op.Op == "proxyconnect")
				})
			})
		}
	}
}

func TestUnknownProxySchemeIsRefused(t *testing.T) {
	tr := newTransport(t, transport.Config{Template: &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "gopher", Host: "proxy.example"})}})
	_, _, err := get1(tr, newRequest(t, "GET", "http://site.example/", nil))
	if err == nil || !strings.Contains(err.Error(), `"gopher"`) || !strings.Contains(err.Error(), "socks5h") {
		t.Errorf("got %v, want an error with the scheme and those that are known", err)
	}
	if got := tr.Stats().Opened; got != 0 {
		t.Errorf("%d connections opened, want none", got)
	}
}
