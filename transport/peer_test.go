package transport_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
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

// peerCurves keeps handshakes cheap: the others have no assembly, and under the
// race detector cost more than all the rest.
var peerCurves = []tls.CurveID{tls.CurveP256}

// peerIdentity is the peers' certificate, and a pool that trusts it. Made here
// because net/http/httptest's, with RSA, costs a handshake ten times as much.
var peerIdentity = sync.OnceValue(func() (id struct {
	cert  tls.Certificate
	roots *x509.CertPool
}) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		NotAfter:              time.Unix(1<<33, 0), // not by the clock, which in a synctest bubble is another
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		panic(err)
	}
	id.cert = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	id.roots = x509.NewCertPool()
	id.roots.AddCert(leaf)
	return id
})

// peer is the server's end of one connection.
type peer struct {
	net.Conn              // carries HTTP: tcp, or TLS over it
	tcp      *net.TCPConn // beneath; nil if HTTP is not carried by TCP
	r        *bufio.Reader
	server   *peers
	number   int      // in the order of acceptance, from 0
	h2       *framing // nil on HTTP/1
}

// asked is a request as far as a peer has read it.
type asked struct {
	method, path string
	header       http.Header
	body         []byte
	whole        bool      // read to its end
	stream       uint32    // HTTP/2
	rest         io.Reader // HTTP/1: what is left of the body
}

// framing is what HTTP/2 adds to a peer.
type framing struct {
	*http2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
	last    uint32            // the highest stream that head has returned
	open    map[uint32]*asked // not answered yet, by stream
	begun   []*asked          // not returned by head yet, oldest first
}

// window is more than any test sends, so that no peer has to update it.
const window = 1 << 30

// startHTTP2 exchanges the prefaces (RFC 9113, section 3.4).
func (p *peer) startHTTP2() error {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(p.r, preface); err != nil {
		return err
	}
	p.h2 = &framing{Framer: http2.NewFramer(p.Conn, p.r), open: make(map[uint32]*asked)}
	p.h2.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	p.h2.encoder = hpack.NewEncoder(&p.h2.block)
	if err := p.h2.WriteSettings(
		http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: p.server.streams},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: window},
	); err != nil {
		return err
	}
	return p.h2.WriteWindowUpdate(0, window)
}

// await waits for the first byte of a request, of which nothing is taken yet.
func (p *peer) await() error {
	if p.h2 == nil {
		_, err := p.r.Peek(1)
		return err
	}
	for len(p.h2.begun) == 0 {
		head, err := p.r.Peek(9) // a frame's header
		if err != nil {
			return err
		}
		if http2.FrameType(head[3]) == http2.FrameHeaders {
			return nil
		}
		if err := p.frame(); err != nil {
			return err
		}
	}
	return nil
}

// head reads the head of the next request.
func (p *peer) head() (*asked, error) {
	a, err := p.nextHead()
	if err == nil {
		p.server.mu.Lock()
		p.server.heads[a.path]++
		p.server.mu.Unlock()
	}
	return a, err
}

func (p *peer) nextHead() (*asked, error) {
	if p.h2 != nil {
		for len(p.h2.begun) == 0 {
			if err := p.frame(); err != nil {
				return nil, err
			}
		}
		a := p.h2.begun[0]
		p.h2.begun = p.h2.begun[1:]
		p.h2.last = a.stream
		return a, nil
	}
	req, err := http.ReadRequest(p.r)
	if err != nil {
		return nil, err
	}
	return &asked{method: req.Method, path: req.URL.Path, header: req.Header, rest: req.Body, whole: req.Body == http.NoBody}, nil
}

// frame reads a frame and does what it asks for.
func (p *peer) frame() error {
	f, err := p.h2.ReadFrame()
	if err != nil {
		return err
	}
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return p.h2.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return p.h2.WritePing(true, f.Data)
		}
	case *http2.MetaHeadersFrame:
		a := &asked{
			method: f.PseudoValue("method"),
			path:   f.PseudoValue("path"),
			header: make(http.Header),
			stream: f.StreamID,
			whole:  f.StreamEnded(),
		}
		for _, field := range f.RegularFields() {
			a.header.Add(field.Name, field.Value)
		}
		p.h2.open[a.stream] = a
		p.h2.begun = append(p.h2.begun, a)
	case *http2.DataFrame:
		if a := p.h2.open[f.StreamID]; a != nil {
			a.body = append(a.body, f.Data()...)
			a.whole = a.whole || f.StreamEnded()
		}
	}
	return nil
}

// body reads on until at least n bytes of a's body are here, or all of it.
func (p *peer) body(a *asked, n int) error {
	if !a.whole && a.header.Get("Expect") == "100-continue" {
		if err := p.inform(a, 100); err != nil {
			return err
		}
	}
	for !a.whole && len(a.body) < n {
		if p.h2 != nil {
			if err := p.frame(); err != nil {
				return err
			}
			continue
		}
		part := make([]byte, min(n-len(a.body), 64<<10))
		got, err := a.rest.Read(part)
		a.body = append(a.body, part[:got]...)
		if err == io.EOF {
			a.whole = true
		} else if err != nil {
			return err
		}
	}
	return nil
}

// request reads the next request to its end.
func (p *peer) request() (*asked, error) {
	a, err := p.head()
	if err != nil {
		return nil, err
	}
	return a, p.body(a, window)
}

// answer sends a response, whose body is text.
func (p *peer) answer(a *asked, status int, text string) error {
	if p.h2 == nil {
		_, err := fmt.Fprintf(p, "HTTP/1.1 %d %s\r\nContent-Length: %d\r\n\r\n%s", status, http.StatusText(status), len(text), text)
		return err
	}
	if err := p.answerHead(a, "content-length", strconv.Itoa(len(text)), ":status", strconv.Itoa(status)); err != nil {
		return err
	}
	delete(p.h2.open, a.stream)
	return p.h2.WriteData(a.stream, true, []byte(text))
}

// inform sends an informational response.
func (p *peer) inform(a *asked, status int) error {
	if p.h2 != nil {
		return p.answerHead(a, ":status", strconv.Itoa(status))
	}
	_, err := fmt.Fprintf(p, "HTTP/1.1 %d %s\r\n\r\n", status, http.StatusText(status))
	return err
}

// answerHead sends an HTTP/2 response's head with these fields, the pseudo
// fields first.
func (p *peer) answerHead(a *asked, fields ...string) error {
	p.h2.block.Reset()
	for _, pseudo := range []bool{true, false} {
		for i := 0; i < len(fields); i += 2 {
			if strings.HasPrefix(fields[i], ":") == pseudo {
				p.h2.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
			}
		}
	}
	return p.h2.WriteHeaders(http2.HeadersFrameParam{StreamID: a.stream, BlockFragment: p.h2.block.Bytes(), EndHeaders: true})
}

// goAway says that no stream after last was or will be acted on.
func (p *peer) goAway(last uint32) error {
	return p.h2.WriteGoAway(last, http2.ErrCodeNo, nil)
}

// close closes as a server does that has no further use for the connection: by
// FIN, or by RST if something unread is in the socket.
func (p *peer) close() {
	p.server.forget(p.tcp)
	p.Conn.Close()
}

// reset closes by RST.
func (p *peer) reset() {
	p.server.forget(p.tcp)
	p.tcp.SetLinger(0)
	p.tcp.Close()
}

// halfClose closes by FIN in any case, and reads on in vain until the other side
// has closed too.
func (p *peer) halfClose() {
	if tc, ok := p.Conn.(*tls.Conn); ok {
		tc.CloseWrite()
	}
	p.tcp.CloseWrite()
	io.Copy(io.Discard, p.tcp)
	p.close()
}
