package transport_test

import (
	"bufio"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

// peers is a server whose end of every connection a test holds itself, step by
// step: for what net/http's server is too well-behaved to do.
type peers struct {
	mode    string
	url     string
	tls     *tls.Config // one for all, so that sessions can be resumed
	streams uint32      // how many an HTTP/2 connection may have open
	accepts atomic.Int64

	mu     sync.Mutex // guards what follows
	conns  map[net.Conn]bool
	closed bool
	heads  map[string]int // requests whose head was read, by path
}

// servePeers has handle speak on every connection that comes in, in a goroutine
// of its own. Handle may leave the connection open. All are closed with the test.
func servePeers(t *testing.T, mode string, handle func(*peer)) *peers {
	t.Helper()
	return servePeersOf(t, mode, 100, handle)
}

// servePeersOf is servePeers with another limit on HTTP/2's streams.
func servePeersOf(t *testing.T, mode string, streams uint32, handle func(*peer)) *peers {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &peers{mode: mode, streams: streams, url: "http://" + l.Addr().String(), conns: make(map[net.Conn]bool), heads: make(map[string]int)}
	if mode != "h1" && mode != "h2c" {
		s.url = "https://" + l.Addr().String()
		s.tls = &tls.Config{Certificates: []tls.Certificate{peerIdentity().cert}, NextProtos: []string{"http/1.1"}, CurvePreferences: peerCurves}
		if mode == "h2" {
			s.tls.NextProtos[0] = "h2"
		}
	}
	var running sync.WaitGroup
	running.Go(func() { // ends when l is closed
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			number := int(s.accepts.Add(1)) - 1
			s.keep(c)
			running.Go(func() { // ends at the latest when its connection is closed
				if p, err := s.greet(c, number); err == nil {
					handle(p)
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.closeAll()
		running.Wait()
	})
	return s
}

func (s *peers) keep(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = true
	if s.closed { // accepted just before the listener was closed
		c.Close()
	}
}

func (s *peers) forget(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// arrived is how often the head of a request for path has been read.
func (s *peers) arrived(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heads[path]
}

func (s *peers) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for c := range s.conns {
		c.Close()
	}
}

// greet does what comes before the first request: TLS, and HTTP/2's settings.
func (s *peers) greet(c net.Conn, number int) (*peer, error) {
	p := &peer{Conn: c, server: s, number: number}
	p.tcp, _ = c.(*net.TCPConn)
	if s.tls != nil {
		tc := tls.Server(c, s.tls)
		if err := tc.Handshake(); err != nil {
			return nil, err
		}
		p.Conn = tc
	}
	p.r = bufio.NewReader(p.Conn)
	if s.mode == "h2" || s.mode == "h2c" {
		return p, p.startHTTP2()
	}
	return p, nil
}

// template is an *http.Transport that trusts s and speaks its mode.
func (s *peers) template() *http.Transport {
	tr := &http.Transport{}
	switch s.mode {
	case "h2c":
		tr.Protocols = new(http.Protocols)
		tr.Protocols.SetUnencryptedHTTP2(true)
	case "h2":
		tr.ForceAttemptHTTP2 = true
	}
	if s.tls != nil {
		tr.TLSClientConfig = &tls.Config{RootCAs: peerIdentity().roots, CurvePreferences: peerCurves, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	}
	return tr
}
