package transport_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// httpProxy is a forward proxy that notes what it was asked for. Requests in
// absolute form it sends on, CONNECT it answers with a tunnel.
type httpProxy struct {
	*server
	onward http.Transport

	mu    sync.Mutex
	asked []string
}

// serveProxy starts a proxy that is spoken to in mode (h1 or https1).
func serveProxy(t *testing.T, mode string) *httpProxy {
	t.Helper()
	p := new(httpProxy)
	t.Cleanup(p.onward.CloseIdleConnections)
	p.server = serve(t, mode, p)
	return p
}

func (p *httpProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, fmt.Sprintf("%s %s %s %q %q", r.Method, r.RequestURI, r.Host, r.Header["Proxy-Authorization"], r.Header["X-To-Proxy"]))
	p.mu.Unlock()
	if r.Method == http.MethodConnect {
		p.tunnel(w, r)
		return
	}
	r.RequestURI = ""
	resp, err := p.onward.RoundTrip(r)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	w.WriteHeader(resp.StatusCode)
	io.Copy(w, resp.Body)
}

func (p *httpProxy) tunnel(w http.ResponseWriter, r *http.Request) {
	target, err := net.Dial("tcp", r.Host)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	client, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
	join(client, target)
}

// join carries bytes both ways until either side ends, and closes both.
func join(a, b net.Conn) {
	done := make(chan struct{}, 2)
	carry := func(to, from net.Conn) {
		io.Copy(to, from)
		to.Close()
		done <- struct{}{}
	}
	go carry(a, b)
	carry(b, a)
	<-done
	<-done
}

// log is what was asked since the last call.
func (p *httpProxy) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	asked := strings.Join(p.asked, "\n")
	p.asked = nil
	return asked
}

// as is the proxy's URL with credentials.
func (p *httpProxy) as(user *url.Userinfo) *url.URL {
	u, err := url.Parse(p.URL)
	if err != nil {
		panic(err)
	}
	u.User = user
	return u
}
