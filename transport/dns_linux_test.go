package transport_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/transport"
)

func loopback(n int) net.IP { return net.IPv4(127, 0, 0, byte(n)) }

// dnsSite is a server at one of several loopback addresses that share a port.
type dnsSite struct {
	*server
	answered, open, accepted atomic.Int64
}

// serveSites starts servers at 127.0.0.1 to n, on one port. Only Linux has these
// addresses without further ado.
func serveSites(t *testing.T, mode string, n int) (sites []*dnsSite, port string) {
	t.Helper()
	var listeners []net.Listener
	for tries := 0; len(listeners) < n; tries++ {
		l, err := net.Listen("tcp", net.JoinHostPort(loopback(len(listeners)+1).String(), port))
		if err == nil {
			_, port, _ = net.SplitHostPort(l.Addr().String())
			listeners = append(listeners, l)
			continue
		}
		if tries == 100 {
			t.Fatal(err)
		}
		for _, l := range listeners { // somebody has the port at another address
			l.Close()
		}
		listeners, port = nil, ""
	}
	for _, l := range listeners {
		sites = append(sites, serveSite(t, mode, l))
	}
	return sites, port
}

func serveSite(t *testing.T, mode string, l net.Listener) *dnsSite {
	p := new(dnsSite)
	p.server = &server{Server: httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, r.Body)
		p.answered.Add(1)
	}))}
	p.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			p.accepted.Add(1)
			p.open.Add(1)
		case http.StateClosed:
			p.open.Add(-1)
		}
	}
	p.Listener.Close()
	p.Listener = l
	if p.EnableHTTP2 = mode == "h2"; mode == "h1" {
		p.Start()
	} else {
		p.TLS = &tls.Config{Certificates: []tls.Certificate{peerIdentity().cert}, CurvePreferences: peerCurves}
		p.StartTLS()
	}
	t.Cleanup(p.Close)
	return p
}

// dnsLoad posts from 8 goroutines until stop is called, which returns when they
// have ended. No request can be sent twice.
func dnsLoad(t *testing.T, tr *transport.Transport, url string) (stop func()) {
	t.Helper()
	done := make(chan struct{})
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				req := newRequest(t, "POST", url, struct{ io.Reader }{strings.NewReader("hello")})
				if body, _, err := get1(tr, req); err != nil || body != "hello" {
					t.Errorf("%q, %v", body, err)
					return
				}
			}
		})
	}
	return func() {
		close(done)
		workers.Wait()
	}
}

// transport makes a transport that asks s all the time, for which 4 answers in 20 ms
// are enough.
func (s *dnsServer) transport(t *testing.T, cfg transport.Config) *transport.Transport {
	t.Helper()
	cfg.Dialer = &dialer.Dialer{Resolver: s.resolver()}
	cfg.DNSInterval = 5 * time.Millisecond
	tr := newTransport(t, cfg)
	transport.SetGoneAfter(tr, 20*time.Millisecond)
	return tr
}

// forDNS is how many connections were closed since their address was gone. On a busy
// machine some are closed as broken beside them: net/http does not keep one whose
// writer has not reported 50 ms after the response's end.
func forDNS(closes map[string]int64) int64 {
	return closes["dns peer"] + closes["dns local"] + closes["dns unknown"]
}

func TestRequestsFollowTheirHostToItsNewAddress(t *testing.T) {
	for _, mode := range []string{"h1", "https1", "h2"} {
		t.Run(mode, func(t *testing.T) {
			sites, _ := serveSites(t, mode, 2)
			dns := serveDNS(t, nil)
			dns.says(loopback(1))
			m := newMeter(t)
			tr := dns.transport(t, transport.Config{Template: sites[0].named(mode), MeterProvider: m.provider, MinConnsPerHost: 2})
			stop := dnsLoad(t, tr, strings.Replace(sites[0].URL, "127.0.0.1", "moves.example", 1))
			defer stop()
			await(t, "requests at the old address", func() bool { return sites[0].answered.Load() >= 100 })
			dns.says(loopback(2))
			await(t, "the old address's connections to be gone", func() bool { return sites[0].open.Load() == 0 })
			before := sites[1].answered.Load()
			await(t, "requests at the new address", func() bool { return sites[1].answered.Load() >= before+100 })
			if n := sites[0].open.Load(); n != 0 {
				t.Errorf("%d connections at the old address again", n)
			}
			// The load may have opened more of them while the answer changed.
			opened := sites[0].accepted.Load()
			var closes map[string]int64
			await(t, "all that were open at the old address to be counted as closed for dns", func() bool {
				closes = m.closes(t)
				return forDNS(closes)+closes["broken local"] >= opened
			})
			if n := forDNS(closes); n == 0 || n+closes["broken local"] != opened {
				t.Errorf("closes counted: %v, want %d for dns, which is all that were open and sound", closes, opened)
			}
			t.Logf("%d connections before, closed: %v, TIME_WAITs: %d", opened, closes, tr.Stats().TimeWaits)
		})
	}
}

func TestAnswersThatShowOneOf16AddressesInTurnRetireNothing(t *testing.T) {
	const all = 16
	_, port := serveSites(t, "h1", all)
	dns := serveDNS(t, func(n int) []net.IP { return []net.IP{loopback(n%all + 1)} })
	m := newMeter(t)
	tr := dns.transport(t, transport.Config{MeterProvider: m.provider, IdleWindow: -1})
	stop := dnsLoad(t, tr, "http://turns.example:"+port+"/")
	defer stop()
	await(t, "8 rounds", func() bool { return dns.asked.Load() >= 8*all })
	if closes := m.closes(t); forDNS(closes) > 0 {
		t.Errorf("closes counted: %v, want none for dns", closes)
	}
	t.Logf("%d lookups, %d connections, %d requests", dns.asked.Load(), tr.Stats().Opened, tr.Stats().Requests)
}

func TestOnlyWhatIsDialedByNameIsLookedUpAgain(t *testing.T) {
	s := serve(t, "h1", http.NotFoundHandler())
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	for name, c := range map[string]struct {
		host   string
		tune   func(*transport.Config)
		lookup bool
	}{
		"by name":    {"a.example", func(*transport.Config) {}, true},
		"an address": {"127.0.0.1", func(*transport.Config) {}, false},
		"turned off": {"a.example", func(c *transport.Config) { c.DNSInterval = -1 }, false},
		"no reuse":   {"a.example", func(c *transport.Config) { c.Template.DisableKeepAlives = true }, false},
		"a proxy": {"a.example", func(c *transport.Config) {
			c.Template.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: "proxy.example:" + port})
		}, false},
		"the user's own dial": {"a.example", func(c *transport.Config) { c.Template.DialContext, c.Dialer = c.Dialer.DialContext, nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			dns := serveDNS(t, nil)
			dns.says(loopback(1))
			cfg := transport.Config{Template: s.template("h1"), Dialer: &dialer.Dialer{Resolver: dns.resolver()}, DNSInterval: time.Microsecond}
			c.tune(&cfg)
			tr := newTransport(t, cfg)
			for range 100 {
				mustGet(t, &http.Client{Transport: tr}, "http://"+c.host+":"+port)
			}
			dials := int64(tr.Stats().Opened)
			if c.lookup {
				await(t, "a lookup", func() bool { return dns.asked.Load() > dials })
			} else if got := dns.asked.Load(); got > dials {
				t.Errorf("%d lookups for %d dials, want no more", got, dials)
			}
		})
	}
}

// named is template for servers that are called by another name than their
// certificate has.
func (p *dnsSite) named(mode string) *http.Transport {
	tmpl := p.template(mode)
	if tmpl.TLSClientConfig != nil {
		tmpl.TLSClientConfig.ServerName = "127.0.0.1"
	}
	return tmpl
}
