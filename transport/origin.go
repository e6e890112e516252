package transport

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/idna"

	"github.com/stayopen-go/stayopen/dialer"
)

// origin is what a connection, and a TLS session, may be shared within: the
// pool's key. Requests with the same origin may travel on the same connection.
type origin struct {
	scheme    string // of the target: http or https
	addr      string // of the target, host:port; empty for http through an HTTP proxy, whose connections serve every target
	proxy     string // the proxy's URL with its credentials; empty without one
	partition string // Config.Partition's answer
	http1     bool   // HTTP/1.1 only, for upgrades and handshakes

	source netip.Addr // the local address that dialer.WithSource pins the request to
	sticky string     // dialer.WithStickyKey's key

	// auth is zero but for connections of the common partition that serve only
	// requests which carry credentials for that scheme, and of these once is set
	// for those that serve one handshake and nobody after it.
	auth authScheme
	once bool
}

// originOf finds the origin that req belongs to. The Proxy function sees the
// request itself.
func (t *Transport) originOf(req *http.Request) (o origin, err error) {
	o = origin{
		scheme:    req.URL.Scheme,
		addr:      canonicalAddr(req.URL),
		partition: t.partitionOf(req),
		http1:     needsHTTP1(req),
		source:    dialer.PinnedSource(req.Context()),
		sticky:    dialer.StickyKey(req.Context()),
	}
	if t.proxy == nil {
		return o, nil
	}
	proxy, err := t.proxy(req)
	if err != nil || proxy == nil {
		return o, err
	}
	o.proxy = proxy.String()
	if o.scheme == "http" && !isSOCKS(proxy) {
		o.addr = ""
	}
	return o, nil
}

// partitionOf is empty, for the common partition, unless the user says
// otherwise.
func (t *Transport) partitionOf(req *http.Request) string {
	if t.partition == nil {
		return ""
	}
	return t.partition(req)
}

// firstHop is the address that TCP connects to.
func (o origin) firstHop() string {
	if proxy := o.proxyURL(); proxy != nil {
		return canonicalAddr(proxy)
	}
	return o.addr
}

// proxyURL is nil without a proxy.
func (o origin) proxyURL() *url.URL {
	if o.proxy == "" {
		return nil
	}
	u, err := url.Parse(o.proxy)
	if err != nil {
		// A *url.URL can hold what its String does not parse back from.
		return &url.URL{Scheme: "invalid", Opaque: o.proxy}
	}
	return u
}

// server is the host and port for the attributes server.address and
// server.port: those of the proxy where the connection serves many targets.
func (o origin) server() (host, port string) {
	addr := o.addr
	if addr == "" {
		addr = o.firstHop()
	}
	host, port, _ = net.SplitHostPort(addr)
	return host, port
}

func isSOCKS(proxy *url.URL) bool {
	return proxy.Scheme == "socks5" || proxy.Scheme == "socks5h"
}

// needsHTTP1 reports whether req asks for an upgrade, which HTTP/2 has no way
// to carry (RFC 9113, section 8.2.2).
func needsHTTP1(req *http.Request) bool {
	if req.Header.Get("Upgrade") == "" {
		return false
	}
	return httpguts.HeaderValuesContainsToken(req.Header["Connection"], "Upgrade")
}

// canonicalAddr is u's host:port with the scheme's port filled in and an
// international name in its ASCII form.
func canonicalAddr(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = schemePort(u.Scheme)
	}
	return net.JoinHostPort(asciiHost(u.Hostname()), port)
}

func schemePort(scheme string) string {
	switch scheme {
	case "http":
		return "80"
	case "https":
		return "443"
	case "socks5", "socks5h":
		return "1080"
	}
	return ""
}

func asciiHost(host string) string {
	if strings.IndexFunc(host, func(r rune) bool { return r >= 0x80 }) < 0 {
		return host
	}
	if ascii, err := idna.Lookup.ToASCII(host); err == nil {
		return ascii
	}
	return host
}
