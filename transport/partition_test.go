package transport_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stayopen-go/stayopen/transport"
)

// riders are who came by which connection, as the server saw it.
type riders struct {
	mu   sync.Mutex
	seen map[net.Conn][]string
}

// note adds who to the connection that req came by, once. An address would not
// do: once a connection is closed its port is free for another.
func (r *riders) note(req *http.Request, who string) {
	c := req.Context().Value(connKey{}).(net.Conn)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil {
		r.seen = make(map[net.Conn][]string)
	}
	if !slices.Contains(r.seen[c], who) {
		r.seen[c] = append(r.seen[c], who)
	}
}

// check holds that no two shared a connection, and that want of them came.
func (r *riders) check(t *testing.T, want ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var came []string
	for c, who := range r.seen {
		if len(who) > 1 {
			t.Errorf("the connection from %s was shared by %q, want one alone", c.RemoteAddr(), who)
		}
		came = append(came, who...)
	}
	slices.Sort(came)
	slices.Sort(want)
	if got := slices.Compact(came); !slices.Equal(got, want) {
		t.Errorf("%q came, want %q", got, want)
	}
}

// tenant is a Partition function: the value of the header Tenant.
func tenant(req *http.Request) string { return req.Header.Get("Tenant") }

// askAs sends n requests as each tenant, all at once, and n more.
func askAs(t *testing.T, rt http.RoundTripper, url string, n int, tenants ...string) {
	t.Helper()
	for range 2 {
		var all sync.WaitGroup
		for i := range n * len(tenants) {
			all.Go(func() {
				req, err := http.NewRequest("GET", url, nil)
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("Tenant", tenants[i%len(tenants)])
				if _, _, err := get1(rt, req); err != nil {
					t.Errorf("GET as %s: %v", tenants[i%len(tenants)], err)
				}
			})
		}
		all.Wait()
	}
}

func TestRequestsOfDifferentPartitionsNeverShareAConnection(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		var came riders
		s := serve(t, mode, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			came.note(r, r.Header.Get("Tenant"))
		}))
		tr := newTransport(t, transport.Config{Template: s.template(mode), Partition: tenant})
		askAs(t, tr, s.URL, 5, "ann", "bob", "")
		came.check(t, "ann", "bob", "")
		if st := tr.Stats(); st.Reused == 0 {
			t.Error("nothing was reused within a partition: the run is void")
		}
	})
}

func TestRequestsOfDifferentPartitionsNeverShareAConnectionToAProxy(t *testing.T) {
	for _, proxyMode := range []string{"h1", "https1"} {
		t.Run(proxyMode, func(t *testing.T) {
			var came riders
			p := serve(t, proxyMode, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				came.note(r, r.Header.Get("Tenant"))
			}))
			via, err := url.Parse(p.URL)
			if err != nil {
				t.Fatal(err)
			}
			tmpl := p.template(proxyMode)
			tmpl.Proxy = http.ProxyURL(via)
			tr := newTransport(t, transport.Config{Template: tmpl, Partition: tenant})
			askAs(t, tr, "http://site.example", 5, "ann", "bob", "")
			came.check(t, "ann", "bob", "")
		})
	}
}

func TestRequestsOfDifferentPartitionsNeverShareATunnel(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		var came riders
		s := serve(t, mode, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			came.note(r, r.Header.Get("Tenant"))
		}))
		for _, via := range []*url.URL{
			serveProxy(t, "h1").as(url.User("gate")),
			{Scheme: "socks5", Host: serveSOCKS(t, "", "").Addr().String()},
		} {
			if mode == "h1" && via.Scheme == "http" {
				continue // no tunnel
			}
			tmpl := trusting(mode)
			tmpl.Proxy = http.ProxyURL(via)
			tr := newTransport(t, transport.Config{Template: tmpl, Partition: tenant})
			askAs(t, tr, s.URL, 3, "ann", "bob")
		}
		came.check(t, "ann", "bob")
	})
}

// The partition is asked for with the request itself, once for each attempt.
func TestPartitionIsCalledOnceForAnAttempt(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		s := servePeers(t, mode, func(p *peer) {
			for served := 0; ; served++ {
				a, err := p.request()
				if err != nil {
					return
				}
				if p.number == 0 && served == 1 {
					p.close() // the second request is lost with its connection
					return
				}
				p.answer(a, 200, "ok")
			}
		})
		var calls atomic.Int64
		tr := newTransport(t, transport.Config{Template: s.template(), Partition: func(req *http.Request) string {
			calls.Add(1)
			return req.URL.Path
		}})
		for i, want := range []int64{1, 3} {
			if _, _, err := get1(tr, newRequest(t, "GET", s.url+"/x", nil)); err != nil {
				t.Fatal(err)
			}
			if got := calls.Load(); got != want {
				t.Errorf("Partition was called %d times after request %d, want %d", got, i+1, want)
			}
		}
	})
}

// What an http proxy sees of connections that serve every target, and a tunnel's
// far end of those that serve one.
func TestDifferentProxiesAndCredentialsNeverShareAConnection(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		var came riders
		s := serve(t, mode, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			came.note(r, r.Header.Get("Tenant"))
		}))
		var asked riders
		note := func(name string, next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.note(r, name+" "+r.Header.Get("Proxy-Authorization"))
				next.ServeHTTP(w, r)
			})
		}
		routes := make(map[string]*url.URL)
		var want []string
		for _, name := range []string{"one", "two"} {
			p := new(httpProxy)
			t.Cleanup(p.onward.CloseIdleConnections)
			p.onward.DisableKeepAlives = true // so that the site sees each of its callers alone
			p.server = serve(t, "h1", note(name, p))
			for _, user := range []string{"ann", "bob"} {
				routes[name+" "+user] = p.as(url.UserPassword(user, "secret"))
				want = append(want, name+" "+basic(user, "secret"))
			}
			routes[name+" nobody"] = p.as(nil)
			want = append(want, name+" ")
		}
		routes["none"] = nil
		tmpl := trusting(mode)
		tmpl.Proxy = func(req *http.Request) (*url.URL, error) { return routes[req.Header.Get("Tenant")], nil }
		tr := newTransport(t, transport.Config{Template: tmpl})
		tenants := slices.Collect(maps.Keys(routes))
		askAs(t, tr, s.URL, 3, tenants...)
		came.check(t, tenants...)
		asked.check(t, want...)
	})
}

func basic(user, password string) string {
	req := httptest.NewRequest("GET", "/", nil)
	req.SetBasicAuth(user, password)
	return req.Header.Get("Authorization")
}

// A user's own TLS knows nothing of partitions, and need not.
func TestPartitionsHoldWithAForeignDialTLS(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		if mode == "h1" {
			return
		}
		var came riders
		s := serve(t, mode, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			came.note(r, r.Header.Get("Tenant"))
		}))
		tmpl := s.template(mode)
		cfg := tmpl.TLSClientConfig.Clone()
		if mode == "h2" {
			cfg.NextProtos = []string{"h2"}
		}
		tmpl.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			return (&tls.Dialer{Config: cfg}).DialContext(ctx, network, addr)
		}
		tr := newTransport(t, transport.Config{Template: tmpl, Partition: tenant})
		askAs(t, tr, s.URL, 4, "ann", "bob")
		came.check(t, "ann", "bob")
	})
}

// An upgrade is spoken over HTTP/1.1, a second way to the same host.
func TestUpgradesStayInTheirPartition(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		var came riders
		s := serve(t, mode, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			came.note(r, r.Header.Get("Tenant"))
			upgrades(w, r)
		}))
		tr := newTransport(t, transport.Config{Template: s.template(mode), Partition: tenant})
		for _, who := range []string{"ann", "bob", "ann"} {
			// Refused, so that the connection is idle for the next.
			req := upgradeRequest(t, s.URL, "nonsense")
			req.Header.Set("Tenant", who)
			if _, resp, err := get1(tr, req); err != nil || resp.StatusCode != http.StatusBadRequest {
				t.Fatalf("%v, %v, want a refusal", resp, err)
			}
		}
		came.check(t, "ann", "bob")
		if st := tr.Stats(); st.Reused != 1 {
			t.Errorf("%d attempts on a connection that had served, want ann's second one", st.Reused)
		}
	})
}

func ExampleConfig_partition() {
	server := hello()
	defer server.Close()
	t, err := transport.New(transport.Config{
		Partition: func(req *http.Request) string { return req.Header.Get("X-User") },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer t.Close()
	for _, user := range []string{"ann", "bob", "ann"} {
		req, err := http.NewRequest("GET", server.URL, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		req.Header.Set("X-User", user)
		resp, err := t.RoundTrip(req)
		if err != nil {
			fmt.Println(err)
			return
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	fmt.Println("connections:", t.Stats().Opened)
	// Output: connections: 2
}
