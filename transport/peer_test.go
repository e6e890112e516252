package transport_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

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
