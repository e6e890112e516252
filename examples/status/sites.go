package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/transport"
)

// sites are the servers. Which of them a name leads to is the dialer's affair, so
// that names can be used that nobody resolves.
type sites struct {
	servers map[string]*httptest.Server // by name
	rest    *httptest.Server            // for all other names
	roots   *x509.CertPool
	dialer  dialer.Dialer
}

// gone is the name of a service that nobody listens for.
const gone = "reports.internal"

func startSites() (*sites, error) {
	s := &sites{servers: make(map[string]*httptest.Server), roots: x509.NewCertPool()}
	s.dialer.Sources = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	for name, serve := range map[string]http.HandlerFunc{
		"api.internal":     answer(4*time.Millisecond, 2<<10),
		"search.internal":  answer(30*time.Millisecond, 8<<10),
		"billing.internal": closing(40, answer(8*time.Millisecond, 1<<10)),
		"legacy.internal":  closing(1, answer(5*time.Millisecond, 1<<10)),
		"images.internal":  answer(15*time.Millisecond, 32<<10),
		"mail.internal":    breaking(answer(5*time.Millisecond, 512)),
	} {
		s.servers[name] = httptest.NewServer(serve)
	}
	// It gives up connections that are idle for a moment.
	hasty := httptest.NewUnstartedServer(answer(3*time.Millisecond, 256))
	hasty.Config.IdleTimeout = 400 * time.Millisecond
	hasty.Start()
	s.servers["sessions.internal"] = hasty

	auth := httptest.NewUnstartedServer(answer(6*time.Millisecond, 1<<10))
	auth.EnableHTTP2 = true
	auth.StartTLS()
	s.roots.AddCert(auth.Certificate())
	s.servers["example.com"] = auth // which its certificate is for

	s.rest = httptest.NewServer(answer(10*time.Millisecond, 4<<10))
	return s, nil
}

func (s *sites) close() {
	for _, server := range s.servers {
		server.CloseClientConnections()
		server.Close()
	}
	s.rest.CloseClientConnections()
	s.rest.Close()
}

// transport makes one of those that are shown.
func (s *sites) transport(name string) (*transport.Transport, error) {
	return transport.New(transport.Config{
		Name: name,
		Template: &http.Transport{
			DialContext:       s.dial,
			ForceAttemptHTTP2: true,
			TLSClientConfig:   &tls.Config{RootCAs: s.roots},
			IdleConnTimeout:   time.Minute,
		},
		MaxConnsPerHost: 24,
	})
}

// dial leads names to the sites.
func (s *sites) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if host == gone {
		return s.dialer.DialContext(ctx, network, "127.0.0.1:1")
	}
	server := s.rest
	if own := s.servers[host]; own != nil {
		server = own
	}
	return s.dialer.DialContext(ctx, network, server.Listener.Addr().String())
}

// answer takes about so long to answer, with about so many bytes.
func answer(typical time.Duration, size int) http.HandlerFunc {
	text := []byte(strings.Repeat("0123456789abcdef", size/16+1))
	return func(w http.ResponseWriter, r *http.Request) {
		wait := time.NewTimer(typical/2 + rand.N(typical))
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-r.Context().Done():
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		w.Write(text[:size/2+rand.IntN(size/2+1)])
	}
}

// closing ends the connection after one of so many answers.
func closing(every int, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if rand.IntN(every) == 0 {
			w.Header().Set("Connection", "close")
		}
		next(w, r)
	}
}

// breaking breaks one answer of forty off.
func breaking(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if rand.IntN(40) == 0 {
			w.Header().Set("Content-Length", "100000")
			fmt.Fprint(w, "torn")
			panic(http.ErrAbortHandler)
		}
		next(w, r)
	}
}
