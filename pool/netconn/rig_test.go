package netconn_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/pool"
	"github.com/stayopen-go/stayopen/pool/netconn"
)

// rig is a pool and the server that it dials, whose side the test plays itself.
type rig struct {
	t    testing.TB
	pool *netconn.Pool
	addr string

	listener net.Listener
	certs    *tls.Config // nil without TLS
	client   *tls.Config // nil without TLS

	mu     sync.Mutex
	dialed map[string]*net.TCPConn // by local address
	gate   chan struct{}           // if not nil, dials wait until it is closed
}

func newRig(t testing.TB, cfg netconn.Config) *rig {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	r := &rig{t: t, addr: l.Addr().String(), listener: l, dialed: make(map[string]*net.TCPConn)}
	cfg.Dial = r.dial
	r.pool = newPool(t, cfg)
	return r
}

func (r *rig) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	r.mu.Lock()
	gate := r.gate
	r.mu.Unlock()
	if gate != nil {
		<-gate
	}
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dialed[c.LocalAddr().String()] = c.(*net.TCPConn)
	if r.client != nil {
		return tls.Client(c, r.client), nil
	}
	return c, nil
}

// awaitArrival waits until something of the peer's can be read from the
// connection's socket: bytes, or its end.
func (r *rig) awaitArrival(c net.Conn) {
	r.t.Helper()
	r.mu.Lock()
	tcp := r.dialed[c.LocalAddr().String()]
	r.mu.Unlock()
	raw, err := tcp.SyscallConn()
	if err != nil {
		r.t.Fatal(err)
	}
	// The poller calls again when the socket has become readable.
	tcp.SetReadDeadline(time.Now().Add(time.Minute))
	calls := 0
	if err := raw.Read(func(fd uintptr) bool { calls++; return arrived(fd, calls) }); err != nil {
		r.t.Fatalf("nothing has arrived: %v", err)
	}
	tcp.SetReadDeadline(time.Time{})
}

// newTLSRig is newRig with TLS over TCP.
func newTLSRig(t testing.TB, cfg netconn.Config) *rig {
	t.Helper()
	r := newRig(t, cfg)
	r.certs, r.client = certificate(t)
	return r
}

func newPool(t testing.TB, cfg netconn.Config) *netconn.Pool {
	t.Helper()
	p, err := netconn.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// take is a connection from the pool, which must not be dialed for it.
func (r *rig) take() *netconn.Conn {
	r.t.Helper()
	c, err := r.pool.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	return c.(*netconn.Conn)
}

// open is a connection that is dialed, from both ends.
func (r *rig) open() (*netconn.Conn, net.Conn) {
	r.t.Helper()
	accepted := make(chan net.Conn, 1)
	go func() { accepted <- r.accept() }() // ends when the connection is there, or the listener is closed
	c := r.take()
	if c.Reused() {
		r.t.Fatal("got a connection that was handed out before, want a new one")
	}
	s := <-accepted
	if s == nil {
		r.t.Fatal("the server could not accept")
	}
	return c, s
}

// accept returns nil if it fails.
func (r *rig) accept() net.Conn {
	s, err := r.listener.Accept()
	if err != nil {
		return nil
	}
	r.t.Cleanup(func() { s.Close() })
	if r.certs != nil {
		tc := tls.Server(s, r.certs)
		if tc.Handshake() != nil {
			return nil
		}
		return tc
	}
	return s
}

// exchange has a question asked and answered.
func exchange(t testing.TB, client, server net.Conn) {
	t.Helper()
	send(t, client, "ping")
	expect(t, server, "ping")
	send(t, server, "pong")
	expect(t, client, "pong")
}

func send(t testing.TB, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatalf("writing %q: %v", text, err)
	}
}

func expect(t testing.TB, c net.Conn, text string) {
	t.Helper()
	got := make([]byte, len(text))
	if n, err := io.ReadFull(c, got); err != nil || string(got) != text {
		t.Fatalf("got %q, %v, want %q", got[:n], err, text)
	}
}

// expectEnd waits until the other side has closed, whatever it sent before.
func expectEnd(t testing.TB, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("got nothing for a minute, want the connection closed")
	}
}

// wantReason checks that exactly one connection was closed, for that reason.
func (r *rig) wantReason(why pool.Reason) {
	r.t.Helper()
	s := r.pool.Stats()
	if s.Closed != 1 || s.Reasons[why] != 1 {
		r.t.Errorf("got %v closed, want one: %s", s.Reasons, why)
	}
}

// wantAgain checks that the pool has the one connection and hands it out.
func (r *rig) wantAgain(server net.Conn) {
	r.t.Helper()
	c := r.take()
	if !c.Reused() {
		r.t.Fatalf("got a new connection, want the one before: %+v", r.pool.Stats())
	}
	exchange(r.t, c, server)
	c.Close()
}

// wantAnother checks that what is handed out next is a new connection that works.
func (r *rig) wantAnother() {
	r.t.Helper()
	c, s := r.open()
	exchange(r.t, c, s)
	c.Close()
}

// certificate returns configurations for a server at 127.0.0.1 and a client that
// trusts it.
func certificate(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Minute),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:         true, BasicConstraintsValid: true,
	}, &x509.Certificate{SerialNumber: big.NewInt(1)}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		&tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}
}

// waitsIn reports whether a goroutine is in the function and waits for a socket.
func waitsIn(function string) bool {
	all := make([]byte, 1<<20)
	for stack := range strings.SplitSeq(string(all[:runtime.Stack(all, true)]), "\n\n") {
		header, _, _ := strings.Cut(stack, "\n")
		if strings.Contains(header, "IO wait") && strings.Contains(stack, function) {
			return true
		}
	}
	return false
}
