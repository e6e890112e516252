package transport_test

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/internal/checks/mustrun"
	"github.com/stayopen-go/stayopen/transport"
)

// Types of TLS content and of handshake messages (RFC 8446, sections 5.1 and 4).
const (
	tlsHandshake       = 22
	tlsApplicationData = 23

	newSessionTicket = 4
	keyUpdate        = 24
)

// lateTLS is the server's end of a TLS 1.3 connection on which it writes the
// records itself: crypto/tls sends no ticket after the handshake's own, and
// never updates its key.
type lateTLS struct {
	tls    *tls.Conn // only read from, after the handshake
	raw    net.Conn
	secret []byte // server_application_traffic_secret (section 7.1)
	seq    uint64
}

// acceptLate shakes hands on c.
func acceptLate(c net.Conn) (*lateTLS, error) {
	var keys bytes.Buffer
	tc := tls.Server(c, &tls.Config{
		Certificates:           []tls.Certificate{peerIdentity().cert},
		CurvePreferences:       peerCurves,
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true, // so that nothing is written but by us
		KeyLogWriter:           &keys,
	})
	if err := tc.Handshake(); err != nil {
		return nil, err
	}
	for line := range strings.Lines(keys.String()) {
		if f := strings.Fields(line); f[0] == "SERVER_TRAFFIC_SECRET_0" {
			secret, err := hex.DecodeString(f[2])
			return &lateTLS{tls: tc, raw: c, secret: secret}, err
		}
	}
	return nil, fmt.Errorf("no secret in %q", keys.String())
}

// derive is HKDF-Expand-Label with an empty context (section 7.1).
func (l *lateTLS) derive(label string, n int) []byte {
	label = "tls13 " + label
	info := binary.BigEndian.AppendUint16(nil, uint16(n))
	info = append(append(info, byte(len(label))), label...)
	key, err := hkdf.Expand(sha256.New, l.secret, string(append(info, 0)), n)
	if err != nil {
		panic(err)
	}
	return key
}

// write sends one record (sections 5.2 and 5.3) of TLS_AES_128_GCM_SHA256.
func (l *lateTLS) write(content byte, data []byte) error {
	block, err := aes.NewCipher(l.derive("key", 16))
	if err != nil {
		return err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return err
	}
	nonce := l.derive("iv", aead.NonceSize())
	tail := nonce[len(nonce)-8:]
	binary.BigEndian.PutUint64(tail, binary.BigEndian.Uint64(tail)^l.seq)
	l.seq++
	inner := append(bytes.Clone(data), content)
	head := binary.BigEndian.AppendUint16([]byte{tlsApplicationData, 3, 3}, uint16(len(inner)+aead.Overhead()))
	_, err = l.raw.Write(aead.Seal(head, nonce, inner, head))
	return err
}

// ticket sends a NewSessionTicket (section 4.6.1).
func (l *lateTLS) ticket() error {
	body := []byte{0, 0, 14, 16, 1, 2, 3, 4, 1, 0} // an hour; age_add; a nonce of one byte
	body = append(body, 0, 6)
	body = append(body, "ticket"...)
	body = append(body, 0, 0) // no extensions
	return l.write(tlsHandshake, append([]byte{newSessionTicket, 0, 0, byte(len(body))}, body...))
}

// update sends a KeyUpdate (section 4.6.3), and uses the new key. If the other
// side is asked to, it does the same.
func (l *lateTLS) update(ask byte) error {
	err := l.write(tlsHandshake, []byte{keyUpdate, 0, 0, 1, ask})
	l.secret, l.seq = l.derive("traffic upd", len(l.secret)), 0
	return err
}

// What TLS says for itself on an idle connection is no data: neither is it a
// reason to close, nor one not to use the connection again.
func TestTicketsAndKeyUpdatesThatComeLateDoNotCloseAnIdleConnection(t *testing.T) {
	for name, late := range map[string]func(*lateTLS) error{
		"nothing":              func(*lateTLS) error { return nil },
		"a ticket":             (*lateTLS).ticket,
		"a key update":         func(l *lateTLS) error { return l.update(0) },
		"a demand to update":   func(l *lateTLS) error { return l.update(1) },
		"an empty record":      func(l *lateTLS) error { return l.write(tlsApplicationData, nil) },
		"a byte of data":       func(l *lateTLS) error { return l.write(tlsApplicationData, []byte("x")) },
		"two tickets, at once": func(l *lateTLS) error { l.ticket(); return l.ticket() },
	} {
		t.Run(name, func(t *testing.T) {
			s := startLate(t, late)
			tmpl := trusting("https1")
			tmpl.TLSClientConfig.MinVersion = tls.VersionTLS13
			meter := newMeter(t)
			tr := newTransport(t, transport.Config{Template: tmpl, MeterProvider: meter.provider})
			used := s.ask(t, tr)
			before := used.BytesRead()
			s.speak <- struct{}{}
			if err := <-s.spoke; err != nil {
				t.Fatal(err)
			}
			if name == "a byte of data" {
				wantClose(t, tr, meter, "unsolicited", "local")
				return
			}
			// It is read while the connection is idle.
			await(t, "what came late to be read", func() bool { return name == "nothing" || used.BytesRead() > before })
			if again := s.ask(t, tr); again != used {
				t.Error("another connection was used, want the same")
			}
			if st := tr.Stats(); st.Opened != 1 || st.Closed != 0 || st.Reused != 1 {
				t.Errorf("%d opened, %d closed, %d reused, want 1, 0 and 1", st.Opened, st.Closed, st.Reused)
			}
		})
	}
}

// lateServer serves one connection: it answers a request, says what it has to
// say late when it is told to, and answers more requests.
type lateServer struct {
	url   string
	speak chan struct{} // closed by the test's end
	spoke chan error    // what came of speaking
	suite atomic.Uint32 // the connection's cipher suite
}

func startLate(t *testing.T, late func(*lateTLS) error) *lateServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &lateServer{url: "https://" + l.Addr().String(), speak: make(chan struct{}), spoke: make(chan error, 1)}
	var running sync.WaitGroup
	running.Go(func() { // ends when the listener and the client's connection are closed
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		p, err := acceptLate(c)
		if err != nil {
			return
		}
		s.suite.Store(uint32(p.tls.ConnectionState().CipherSuite))
		r := bufio.NewReader(p.tls)
		for first := true; ; first = false {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			if err := p.write(tlsApplicationData, []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")); err != nil {
				return
			}
			if first {
				if _, ok := <-s.speak; ok {
					s.spoke <- late(p)
				}
			}
		}
	})
	t.Cleanup(running.Wait)
	t.Cleanup(func() {
		close(s.speak)
		l.Close()
	})
	return s
}

// ask makes a request and returns the connection that it went by.
func (s *lateServer) ask(t *testing.T, tr *transport.Transport) (used *dialer.Conn) {
	t.Helper()
	req := newRequest(t, "GET", s.url, nil)
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		used = i.Conn.(*tls.Conn).NetConn().(*dialer.Conn)
	}}))
	body, _, err := get1(tr, req)
	if suite := uint16(s.suite.Load()); err != nil && suite != tls.TLS_AES_128_GCM_SHA256 {
		mustrun.Skipf(t, "needs AES instructions, with which TLS prefers AES-128")
	}
	if err != nil || body != "ok" {
		t.Fatalf("%q, %v, want an answer", body, err)
	}
	return used
}
