package shadow

import (
	"net"
	"net/http"
	"strings"

	"golang.org/x/net/idna"
)

// target is where a request is meant to go.
type target struct {
	scheme string // http or https
	addr   string // host:port
}

func (t target) String() string {
	if t == otherTargets {
		return t.addr
	}
	return t.scheme + "://" + t.addr
}

// targetOf finds the target of a request that has a URL.
func targetOf(req *http.Request) target {
	u := req.URL
	port := u.Port()
	if port == "" {
		port = "80"
		if u.Scheme == "https" {
			port = "443"
		}
	}
	return target{u.Scheme, net.JoinHostPort(asciiHost(u.Hostname()), port)}
}

// asciiHost is the form of an international name that the GetConn hook is
// called with.
func asciiHost(host string) string {
	if strings.IndexFunc(host, func(r rune) bool { return r >= 0x80 }) < 0 {
		return host
	}
	if ascii, err := idna.Lookup.ToASCII(host); err == nil {
		return ascii
	}
	return host
}

// origin is what a connection may be shared within: the models' key.
type origin struct {
	target
	proxy string // host:port
	http1 bool   // upgrades, which HTTP/2 cannot carry
}

// originVia is the origin of a request that is sent to hop, which is its
// target's address unless there is a proxy. An HTTP proxy takes requests for all
// http targets on one connection. A SOCKS proxy does not, but looks the same
// from here.
func (t target) originVia(hop string, http1 bool) origin {
	o := origin{target: t, http1: http1 && t.scheme == "https"}
	if hop != t.addr {
		o.proxy = hop
		if t.scheme == "http" {
			o.addr = ""
		}
	}
	return o
}

// mayMultiplex reports whether a connection may turn out to serve everybody: by
// HTTP/2, which a transport with default settings speaks only over TLS.
func (o origin) mayMultiplex() bool { return o.scheme == "https" && !o.http1 }
