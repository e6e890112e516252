package transport_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/internal/checks/mustrun"
	"github.com/stayopen-go/stayopen/transport"
)

// dialCalls counts who is asked to dial.
type dialCalls struct{ ours, theirs atomic.Int64 }

// dialer is a Config.Dialer that counts its dials.
func (d *dialCalls) dialer(sources ...netip.Prefix) *dialer.Dialer {
	return &dialer.Dialer{Sources: sources, Control: func(string, string, syscall.RawConn) error {
		d.ours.Add(1)
		return nil
	}}
}

// opaque hides what kind of connection it is.
type opaque struct{ net.Conn }

// templateDials are the ways in which a template may dial, and what httptrace
// then shows of the connection.
var templateDials = map[string]struct {
	set   func(tmpl *http.Transport, count func())
	shows string
}{
	"no dial function": {func(*http.Transport, func()) {}, "*dialer.Conn"},
	"DialContext": {func(tmpl *http.Transport, count func()) {
		tmpl.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			count()
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
	}, "*net.TCPConn"},
	"Dial": {func(tmpl *http.Transport, count func()) {
		tmpl.Dial = func(network, addr string) (net.Conn, error) {
			count()
			return net.Dial(network, addr)
		}
	}, "*net.TCPConn"},
	"DialContext of an unknown type": {func(tmpl *http.Transport, count func()) {
		tmpl.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			count()
			c, err := new(net.Dialer).DialContext(ctx, network, addr)
			return opaque{c}, err
		}
	}, "transport_test.opaque"},
}

func TestConfigDialerDialsIfSetAndTheTemplateOtherwise(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		for name, template := range templateDials {
			for _, withDialer := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, Config.Dialer %v", name, withDialer), func(t *testing.T) {
					s := serve(t, mode, http.NotFoundHandler())
					var calls dialCalls
					cfg := transport.Config{Template: s.template(mode)}
					template.set(cfg.Template, func() { calls.theirs.Add(1) })
					shows := template.shows
					var ours, theirs int64
					switch {
					case withDialer:
						cfg.Dialer = calls.dialer()
						ours, shows = 1, "*dialer.Conn"
					case name != "no dial function":
						theirs = 1
					}
					tr := newTransport(t, cfg)
					log := newHookLog()
					for range 3 {
						log = newHookLog()
						log.do(t, tr, newRequest(t, "GET", s.URL, nil))
					}
					if calls.ours.Load() != ours || calls.theirs.Load() != theirs {
						t.Errorf("Config.Dialer was asked %d times and the template %d times, want %d and %d", calls.ours.Load(), calls.theirs.Load(), ours, theirs)
					}
					c := log.gotConn().Conn
					if mode != "h1" {
						tc, ok := c.(*tls.Conn)
						if !ok {
							t.Fatalf("GotConnInfo.Conn is a %T, want a *tls.Conn", c)
						}
						if c = tc.NetConn(); shows == "*net.TCPConn" {
							shows = "*dialer.Conn" // TLS speaks on what wraps it
						}
					}
					if got := fmt.Sprintf("%T", c); got != shows {
						t.Errorf("the connection is a %s, want a %s", got, shows)
					}
					st := tr.Stats()
					if st.Opened != 1 || st.Served != 1 || st.ClosesAvoided != 2 {
						t.Errorf("%d opened, %d served, %d closes avoided, want 1, 1 and 2", st.Opened, st.Served, st.ClosesAvoided)
					}
				})
			}
		}
	})
}

func TestClosesAreCountedWhoeverDialed(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		for name, template := range templateDials {
			for who, end := range map[string]func(*server, *transport.Transport){
				"local": func(_ *server, tr *transport.Transport) { tr.CloseIdleConnections() },
				"peer":  func(s *server, _ *transport.Transport) { s.CloseClientConnections() },
			} {
				t.Run(name+" "+who, func(t *testing.T) {
					s := serve(t, mode, http.NotFoundHandler())
					m := newMeter(t)
					cfg := transport.Config{Template: s.template(mode), MeterProvider: m.provider}
					template.set(cfg.Template, func() {})
					tr := newTransport(t, cfg)
					mustGet(t, &http.Client{Transport: tr}, s.URL)
					end(s, tr)
					await(t, "the close", func() bool { st := tr.Stats(); return st.Closed == 1 && st.Open == 0 })
					if got := tr.Stats().Opened; got != 1 {
						t.Errorf("%d opened, want 1", got)
					}
					if runtime.GOOS != "linux" && template.shows != "transport_test.opaque" {
						who = "unknown"
					}
					want := map[string]string{"local": "close_idle", "peer": "peer_closed", "unknown": ""}[who]
					for key := range m.closes(t) {
						if !strings.HasSuffix(key, " "+who) || !strings.HasPrefix(key, want) {
							t.Errorf("counted as %q, want %s by %s", key, want, who)
						}
					}
				})
			}
		}
	})
}

func TestTimeWaitsAreCountedWhereverTheTCPConnectionIsKnown(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux says what a close leaves behind")
	}
	for name, template := range templateDials {
		for _, server := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, closed by the server %v", name, server), func(t *testing.T) {
				s := serve(t, "h1", http.NotFoundHandler())
				tmpl := s.template("h1")
				template.set(tmpl, func() {})
				tr := newTransport(t, transport.Config{Template: tmpl})
				mustGet(t, &http.Client{Transport: tr}, s.URL)
				want := uint64(1)
				if server || template.shows == "transport_test.opaque" {
					want = 0
				}
				if server {
					s.CloseClientConnections()
				} else {
					tr.CloseIdleConnections()
				}
				await(t, "the close", func() bool { return tr.Stats().Closed == 1 })
				if got := tr.Stats().TimeWaits; got != want {
					t.Errorf("%d TIME_WAITs counted, want %d", got, want)
				}
			})
		}
	}
}

func TestSourcesAreThoseOfConfigDialer(t *testing.T) {
	if runtime.GOOS != "linux" {
		mustrun.Skipf(t, "127.0.0.2 is an address of every Linux host and of few others")
	}
	inModes(t, func(t *testing.T, mode string) {
		s := serve(t, mode, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RemoteAddr) }))
		for name, template := range templateDials {
			var calls dialCalls
			tmpl := s.template(mode)
			template.set(tmpl, func() {})
			with := newTransport(t, transport.Config{Template: tmpl, Dialer: calls.dialer(netip.MustParsePrefix("127.0.0.2/32"))})
			without := newTransport(t, transport.Config{Template: tmpl})
			for tr, want := range map[*transport.Transport]string{with: "127.0.0.2", without: "127.0.0.1"} {
				body, _ := mustGet(t, &http.Client{Transport: tr}, s.URL)
				if host, _, _ := net.SplitHostPort(body); host != want {
					t.Errorf("%s: the server was called from %s, want %s", name, host, want)
				}
			}
		}
	})
}

func TestTemplateDialsTLSAlsoBesideConfigDialer(t *testing.T) {
	for _, mode := range []string{"https1", "h2"} {
		for _, withDialer := range []bool{false, true} {
			for _, withContext := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, Config.Dialer %v, DialTLSContext %v", mode, withDialer, withContext), func(t *testing.T) {
					s := serve(t, mode, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }))
					var calls dialCalls
					tmpl := s.template(mode)
					dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
						calls.theirs.Add(1)
						cfg := &tls.Config{InsecureSkipVerify: true}
						if mode == "h2" {
							cfg.NextProtos = []string{"h2", "http/1.1"}
						}
						return (&tls.Dialer{Config: cfg}).DialContext(ctx, network, addr)
					}
					if withContext {
						tmpl.DialTLSContext = dial
					} else {
						tmpl.DialTLS = func(network, addr string) (net.Conn, error) { return dial(context.Background(), network, addr) }
					}
					cfg := transport.Config{Template: tmpl}
					if withDialer {
						cfg.Dialer = calls.dialer()
					}
					tr := newTransport(t, cfg)
					for range 3 {
						body, resp := mustGet(t, &http.Client{Transport: tr}, s.URL)
						if want := map[string]string{"https1": "HTTP/1.1", "h2": "HTTP/2.0"}[mode]; body != want || resp.TLS == nil {
							t.Errorf("the server saw %s, Response.TLS is set: %v, want %s and true", body, resp.TLS != nil, want)
						}
					}
					if calls.theirs.Load() != 1 || calls.ours.Load() != 0 {
						t.Errorf("the template was asked %d times and Config.Dialer %d times, want 1 and 0", calls.theirs.Load(), calls.ours.Load())
					}
					tr.CloseIdleConnections()
					await(t, "the close", func() bool { return tr.Stats().Closed == 1 })
				})
			}
		}
	}
}

func TestTemplateDialsTLSToHTTPSProxiesAsWithNetHTTP(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		var target site
		s := serve(t, mode, &target)
		p := serveProxy(t, "https1")
		var asked []string
		tmpl := trusting(mode)
		tmpl.Proxy = http.ProxyURL(p.as(nil))
		tmpl.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			asked = append(asked, network+" "+addr)
			return (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(ctx, network, addr)
		}
		sameOnBoth(t, tmpl, func(t *testing.T, rt http.RoundTripper) string {
			asked = nil
			report := target.report(t, rt, s.URL)
			return fmt.Sprintf("%s%s\n%s", report, strings.Join(asked, "\n"), p.log())
		})
	})
}

// A DialTLSContext may return anything, and then HTTP/1.1 is spoken on it.
func TestTLSDialerThatHidesItsTLSSpeaksHTTP1(t *testing.T) {
	s := serve(t, "h2", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }))
	tmpl := s.template("h2")
	tmpl.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(ctx, network, addr)
		return opaque{c}, err
	}
	sameOnBoth(t, tmpl, func(t *testing.T, rt http.RoundTripper) string {
		body, resp, err := get1(rt, newRequest(t, "GET", s.URL, nil))
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(body, resp.TLS != nil)
	})
}

func TestDialFunctionsThatFailReadAsWithNetHTTP(t *testing.T) {
	boom := errors.New("boom")
	for name, set := range map[string]func(*http.Transport){
		"DialContext": func(tmpl *http.Transport) {
			tmpl.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, boom }
		},
		"DialContext of nothing": func(tmpl *http.Transport) {
			tmpl.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, nil }
		},
		"Dial": func(tmpl *http.Transport) {
			tmpl.Dial = func(string, string) (net.Conn, error) { return nil, boom }
		},
		"Dial of nothing": func(tmpl *http.Transport) {
			tmpl.Dial = func(string, string) (net.Conn, error) { return nil, nil }
		},
		"DialTLSContext": func(tmpl *http.Transport) {
			tmpl.DialTLSContext = func(context.Context, string, string) (net.Conn, error) { return nil, boom }
		},
		"DialTLSContext of nothing": func(tmpl *http.Transport) {
			tmpl.DialTLSContext = func(context.Context, string, string) (net.Conn, error) { return nil, nil }
		},
		"DialTLS": func(tmpl *http.Transport) {
			tmpl.DialTLS = func(string, string) (net.Conn, error) { return nil, boom }
		},
	} {
		t.Run(name, func(t *testing.T) {
			tmpl := new(http.Transport)
			set(tmpl)
			sameOnBoth(t, tmpl, func(t *testing.T, rt http.RoundTripper) string {
				_, _, err := get1(rt, newRequest(t, "GET", "https://site.example/", nil))
				return fmt.Sprint(err, errors.Is(err, boom))
			})
		})
	}
}

func TestRequestsPinnedToASourceTravelFromNoOther(t *testing.T) {
	if runtime.GOOS != "linux" {
		mustrun.Skipf(t, "this test dials from several addresses of loopback")
	}
	var mu sync.Mutex
	seen := map[string][]string{} // by what the client says, who it was
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		mu.Lock()
		defer mu.Unlock()
		seen[r.URL.Path] = append(seen[r.URL.Path], host)
	}))
	defer server.Close()
	d := &dialer.Dialer{Sources: []netip.Prefix{netip.MustParsePrefix("127.2.0.0/30")}, Chooser: dialer.Sticky{}}
	tr, err := transport.New(transport.Config{Dialer: d})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	get := func(ctx context.Context, path string) {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	for range 5 {
		get(dialer.WithSource(t.Context(), netip.MustParseAddr("127.2.0.77")), "/pinned")
		get(t.Context(), "/free")
		get(dialer.WithStickyKey(t.Context(), "a"), "/a")
		get(dialer.WithStickyKey(t.Context(), "b"), "/b")
	}
	for path, hosts := range seen {
		if n := len(slices.Compact(slices.Sorted(slices.Values(hosts)))); n != 1 || (hosts[0] == "127.2.0.77") != (path == "/pinned") {
			t.Errorf("%s came from %v, want one address always, 127.2.0.77 if pinned to it and only then", path, hosts)
		}
	}
	if got := tr.Stats().Opened; got != 4 {
		t.Errorf("got %d connections, want 4: one each for the pin, the rest and two sticky keys", got)
	}
}
