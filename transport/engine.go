package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
)

// engines speak HTTP on finished connections: net/http's ClientConn, through
// two Transports of ours that never dial by themselves. Connecting, proxies
// and TLS are done before, in dial.go, so that every connection looks the same
// to the rest of this package.
type engines struct {
	http1 *http.Transport
	http2 *http.Transport
}

func newEngines(tmpl *http.Transport) engines {
	one := neutral(tmpl)
	one.Protocols = protocols((*http.Protocols).SetHTTP1)
	one.Proxy = handedProxy

	two := neutral(tmpl)
	// "Unencrypted" is how net/http is told to speak HTTP/2 at once on the
	// connection it is given, which here may well be a TLS connection.
	two.Protocols = protocols((*http.Protocols).SetUnencryptedHTTP2)
	two.Proxy = nil
	return engines{one, two}
}

// neutral copies tmpl without anything that dials, or that closes connections
// behind the pool's back: a ClientConn obeys the Transport it comes from.
func neutral(tmpl *http.Transport) *http.Transport {
	e := tmpl.Clone()
	e.DialContext = handedConn
	e.Dial, e.DialTLS, e.DialTLSContext = nil, nil, nil
	e.TLSClientConfig, e.TLSNextProto = nil, nil
	e.MaxIdleConns, e.MaxIdleConnsPerHost, e.MaxConnsPerHost = 0, 0, 0
	e.IdleConnTimeout = 0
	return e
}

func protocols(set func(*http.Protocols, bool)) *http.Protocols {
	p := new(http.Protocols)
	set(p, true)
	return p
}

// handOff takes a finished connection through NewClientConn's dial.
type handOff struct {
	conn  net.Conn
	proxy *url.URL // non-nil: requests on it go to an HTTP proxy, in absolute form
}

type handOffKey struct{}

func handedConn(ctx context.Context, _, _ string) (net.Conn, error) {
	h, ok := ctx.Value(handOffKey{}).(*handOff)
	if !ok {
		return nil, errors.New("transport: BUG: an engine dialed by itself")
	}
	return h.conn, nil
}

func handedProxy(req *http.Request) (*url.URL, error) {
	if h, ok := req.Context().Value(handOffKey{}).(*handOff); ok {
		return h.proxy, nil
	}
	return nil, nil
}

// clientConn begins HTTP on w. The address is a formality.
func (e engines) clientConn(w *wire, http2 bool, proxy *url.URL) (*http.ClientConn, error) {
	h := &handOff{conn: w}
	engine := e.http1
	if http2 {
		engine = e.http2
	} else if proxy != nil {
		// Its credentials become Proxy-Authorization. The connection to the
		// proxy stands already, so its scheme is of no interest any more.
		h.proxy = &url.URL{Scheme: "http", Host: "proxy", User: proxy.User}
	}
	ctx := context.WithValue(context.Background(), handOffKey{}, h)
	return engine.NewClientConn(ctx, "http", "target:80")
}

// tlsConfigs are the two ways to offer TLS: with the template's protocols, and
// with HTTP/1.1 alone for upgrades and proxies.
type tlsConfigs struct {
	any, http1 *tls.Config
}

// newTLSConfigs takes the config from a Clone, in which net/http has already
// entered the protocols it would offer (ALPN).
func newTLSConfigs(clone *http.Transport) tlsConfigs {
	cfg := clone.TLSClientConfig
	if cfg == nil {
		cfg = new(tls.Config)
	}
	one := cfg.Clone()
	one.NextProtos = []string{"http/1.1"}
	return tlsConfigs{cfg, one}
}
