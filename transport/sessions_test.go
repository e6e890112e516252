package transport_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/stayopen-go/stayopen/transport"
)

// saysResumed answers whether the connection's TLS session was resumed.
func saysResumed(w http.ResponseWriter, r *http.Request) {
	fmt.Fprint(w, r.TLS != nil && r.TLS.DidResume)
}

// reconnect makes a request on a connection of its own, and returns the answer.
func reconnect(t *testing.T, tr *transport.Transport, req *http.Request) string {
	t.Helper()
	tr.CloseIdleConnections()
	body, _, err := get1(tr, req)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// tlsModes are those with TLS.
var tlsModes = []string{"https1", "h2"}

func TestTLSSessionsAreResumedAndCounted(t *testing.T) {
	for _, mode := range tlsModes {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(mode+" "+tls.VersionName(version), func(t *testing.T) {
				s := serve(t, mode, http.HandlerFunc(saysResumed))
				tmpl, meter := s.template(mode), newMeter(t)
				tmpl.TLSClientConfig.MaxVersion = version
				tr := newTransport(t, transport.Config{Template: tmpl, MeterProvider: meter.provider})
				for i := range 4 {
					if got, want := reconnect(t, tr, newRequest(t, "GET", s.URL, nil)), fmt.Sprint(i > 0); got != want {
						t.Errorf("connection %d: resumed is %s, as the server has it, want %s", i, got, want)
					}
				}
				if st := tr.Stats(); st.Opened != 4 || st.TLSHandshakes != 4 || st.TLSResumed != 3 {
					t.Errorf("%d opened, %d handshakes, %d resumed, want 4, 4 and 3", st.Opened, st.TLSHandshakes, st.TLSResumed)
				}
				for _, p := range points(t, meter.collect(t)["stayopen.tls.handshakes"]) {
					want := map[string]int64{"true": 3, "false": 1}[attr(p.Attributes, "tls.resumed")]
					if p.Value != want {
						t.Errorf("tls.resumed=%s is %d, want %d", attr(p.Attributes, "tls.resumed"), p.Value, want)
					}
				}
			})
		}
	}
}

// Other transports, partitions, proxies, credentials and ports of one host are
// other identities: none resumes what another began.
func TestTLSSessionsAreNotResumedByAnybodyElse(t *testing.T) {
	for _, mode := range tlsModes {
		t.Run(mode, func(t *testing.T) {
			s := serve(t, mode, http.HandlerFunc(saysResumed))
			other := serve(t, mode, http.HandlerFunc(saysResumed))
			other.TLS.SetSessionTicketKeys([][32]byte{{1}})
			s.TLS.SetSessionTicketKeys([][32]byte{{1}}) // so that other could resume what s began
			p := serveProxy(t, "h1")
			socks := &url.URL{Scheme: "socks5", Host: serveSOCKS(t, "", "").Addr().String()}
			routes := map[string]*url.URL{"ann": p.as(url.User("ann")), "bob": p.as(url.User("bob")), "socks": socks}
			tmpl := s.template(mode)
			tmpl.Proxy = func(req *http.Request) (*url.URL, error) { return routes[req.Header.Get("Route")], nil }
			tr := newTransport(t, transport.Config{Template: tmpl, Partition: tenant})
			second := newTransport(t, transport.Config{Template: tmpl})
			for _, way := range []struct {
				tr                 *transport.Transport
				tenant, route, url string
			}{
				{tr, "", "", s.URL}, {tr, "ann", "", s.URL}, {tr, "bob", "", s.URL},
				{tr, "", "ann", s.URL}, {tr, "", "bob", s.URL}, {tr, "", "socks", s.URL},
				{tr, "", "", other.URL},
				{second, "", "", s.URL},
			} {
				for i := range 2 {
					req := newRequest(t, "GET", way.url, nil)
					req.Header.Set("Tenant", way.tenant)
					req.Header.Set("Route", way.route)
					if got, want := reconnect(t, way.tr, req), fmt.Sprint(i > 0); got != want {
						t.Errorf("tenant %q by route %q to %s, connection %d: resumed is %s, want %s", way.tenant, way.route, way.url, i, got, want)
					}
				}
			}
		})
	}
}

// countedCache is a cache that a user brings.
type countedCache struct {
	tls.ClientSessionCache
	puts atomic.Int64
}

func (c *countedCache) Put(key string, s *tls.ClientSessionState) {
	c.puts.Add(1)
	c.ClientSessionCache.Put(key, s)
}

func TestTLSSessionsAreLeftToATemplateThatSeesToThem(t *testing.T) {
	for _, mode := range tlsModes {
		t.Run(mode, func(t *testing.T) {
			s := serve(t, mode, http.HandlerFunc(saysResumed))
			theirs := &countedCache{ClientSessionCache: tls.NewLRUClientSessionCache(1)}
			var calls atomic.Int64
			for name, c := range map[string]struct {
				set     func(*tls.Config)
				resumed bool
			}{
				"a cache":             {func(c *tls.Config) { c.ClientSessionCache = theirs }, true},
				"tickets disabled":    {func(c *tls.Config) { c.SessionTicketsDisabled = true }, false},
				"its own certificate": {func(c *tls.Config) { c.GetClientCertificate = noCertificate }, false},
				"its own verification": {func(c *tls.Config) {
					c.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error { calls.Add(1); return nil }
				}, false},
			} {
				tmpl := s.template(mode)
				c.set(tmpl.TLSClientConfig)
				tr := newTransport(t, transport.Config{Template: tmpl})
				for i := range 3 {
					if got, want := reconnect(t, tr, newRequest(t, "GET", s.URL, nil)), fmt.Sprint(i > 0 && c.resumed); got != want {
						t.Errorf("%s, connection %d: resumed is %s, want %s", name, i, got, want)
					}
				}
			}
			if got := theirs.puts.Load(); got == 0 {
				t.Error("the template's cache was not given a session")
			}
			if got := calls.Load(); got != 3 {
				t.Errorf("VerifyPeerCertificate was called %d times for 3 connections", got)
			}
		})
	}
}

func noCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return new(tls.Certificate), nil
}

// What a session is resumed with is what the server knew of the client when it
// began, certificate included.
func TestAResumedSessionStillShowsItsOwnClientsCertificate(t *testing.T) {
	s := serveWith(t, "https1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, len(r.TLS.PeerCertificates), r.TLS.DidResume)
	}), func(*http.Server) {})
	s.TLS.ClientAuth = tls.RequestClientCert
	known, unknown := s.template("https1"), s.template("https1")
	known.TLSClientConfig.Certificates = []tls.Certificate{peerIdentity().cert}
	a := newTransport(t, transport.Config{Template: known})
	b := newTransport(t, transport.Config{Template: unknown})
	for i, want := range []string{"1 false", "1 true"} {
		if got := reconnect(t, a, newRequest(t, "GET", s.URL, nil)); got != want {
			t.Errorf("connection %d with a certificate: %s, want %s", i, got, want)
		}
	}
	for i, want := range []string{"0 false", "0 true"} {
		if got := reconnect(t, b, newRequest(t, "GET", s.URL, nil)); got != want {
			t.Errorf("connection %d without a certificate: %s, want %s", i, got, want)
		}
	}
}

// A proxy that is spoken to over TLS, and the target behind it, are two.
func TestHandshakesWithAProxyAreCountedAndResumedToo(t *testing.T) {
	s := serve(t, "https1", http.HandlerFunc(saysResumed))
	p := serveProxy(t, "https1")
	tmpl := trusting("https1")
	tmpl.Proxy = http.ProxyURL(p.as(nil))
	tr := newTransport(t, transport.Config{Template: tmpl})
	for i := range 3 {
		if got, want := reconnect(t, tr, newRequest(t, "GET", s.URL, nil)), fmt.Sprint(i > 0); got != want {
			t.Errorf("connection %d: resumed with the target is %s, want %s", i, got, want)
		}
	}
	if st := tr.Stats(); st.TLSHandshakes != 6 || st.TLSResumed != 4 {
		t.Errorf("%d handshakes, %d resumed, want 6 and 4: all but the first with each", st.TLSHandshakes, st.TLSResumed)
	}
}

func TestHandshakesOfAForeignDialTLSAreCounted(t *testing.T) {
	s := serve(t, "https1", http.HandlerFunc(saysResumed))
	tmpl := s.template("https1")
	cfg := tmpl.TLSClientConfig.Clone()
	cfg.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	tmpl.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return (&tls.Dialer{Config: cfg}).DialContext(ctx, network, addr)
	}
	tr := newTransport(t, transport.Config{Template: tmpl})
	for range 2 {
		reconnect(t, tr, newRequest(t, "GET", s.URL, nil))
	}
	if st := tr.Stats(); st.TLSHandshakes != 2 || st.TLSResumed != 1 {
		t.Errorf("%d handshakes, %d resumed, want 2 and 1", st.TLSHandshakes, st.TLSResumed)
	}
}

// BenchmarkOpen is a request on a connection of its own over TLS, with sessions
// resumed as they are by default, and without. The server is in the same
// process, so what is measured is both sides; with -cpu 1 it is their CPU.
func BenchmarkOpen(b *testing.B) {
	for _, key := range []string{"ecdsa", "rsa"} {
		for _, client := range []string{"nethttp", "stayopen"} {
			for _, resume := range []bool{false, true} {
				b.Run(fmt.Sprintf("key=%s/transport=%s/resume=%v", key, client, resume), func(b *testing.B) {
					benchmarkOpen(b, key, client, resume)
				})
			}
		}
	}
}

func benchmarkOpen(b *testing.B, key, client string, resume bool) {
	s := serve(b, "https1", http.HandlerFunc(saysResumed))
	tmpl := s.template("https1")
	tmpl.TLSClientConfig.SessionTicketsDisabled = !resume
	if key == "rsa" {
		rsa := httptest.NewTLSServer(http.HandlerFunc(saysResumed))
		b.Cleanup(rsa.Close)
		s.URL = rsa.URL
		tmpl.TLSClientConfig.RootCAs = rsa.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	}
	var rt interface {
		http.RoundTripper
		CloseIdleConnections()
	} = tmpl
	if client == "stayopen" {
		tr, err := transport.New(transport.Config{Template: tmpl})
		if err != nil {
			b.Fatal(err)
		}
		defer tr.Close()
		rt = tr
	} else if resume {
		tmpl.TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	}
	c := &http.Client{Transport: rt}
	resumed := 0
	b.ReportAllocs()
	for b.Loop() {
		body, _, err := get(c, s.URL)
		if err != nil {
			b.Fatal(err)
		}
		if body == "true" {
			resumed++
		}
		rt.CloseIdleConnections()
	}
	b.ReportMetric(float64(resumed)/float64(b.N), "resumed/op")
}
