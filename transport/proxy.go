package transport

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/proxy"

	"github.com/stayopen-go/stayopen/internal/dialfail"
)

// through goes through the proxy to the target, and speaks TLS to the target
// if that is wanted.
func (h *hop) through(ctx context.Context, via *url.URL) error {
	h.step = dialfail.Proxy
	switch {
	case via == nil:
		return nil
	case isSOCKS(via):
		if err := h.socks(ctx, via); err != nil {
			return err
		}
	case h.o.scheme == "https":
		if err := h.tunnel(ctx, via); err != nil {
			return err
		}
	default:
		return nil // HTTP is spoken with the proxy, over its TLS if it has any
	}
	h.tls = nil // that of the hop to the proxy is the proxy's affair
	if h.o.scheme != "https" {
		return nil
	}
	host := h.o.addr[:strings.LastIndexByte(h.o.addr, ':')]
	return h.startTLS(ctx, h.o.addr, host, h.http1Only())
}

// socks asks a SOCKS5 proxy for the target (RFC 1928), by name.
func (h *hop) socks(ctx context.Context, via *url.URL) error {
	var auth *proxy.Auth
	if via.User != nil {
		auth = &proxy.Auth{User: via.User.Username()}
		auth.Password, _ = via.User.Password()
	}
	d, err := proxy.SOCKS5("tcp", h.o.firstHop(), auth, already{h.conn})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, tunnelTimeout)
	defer cancel()
	// It speaks on the connection it is given; what it returns is that one
	// with another RemoteAddr.
	_, err = d.(proxy.ContextDialer).DialContext(ctx, "tcp", h.o.addr)
	return err
}

// already is a dialer whose connection stands already.
type already struct{ conn net.Conn }

func (a already) Dial(string, string) (net.Conn, error) { return a.conn, nil }

func (a already) DialContext(context.Context, string, string) (net.Conn, error) { return a.conn, nil }

// tunnelTimeout bounds a proxy's answer, so that one that never answers does not
// keep a dial for ever. The value is net/http's for CONNECT.
const tunnelTimeout = time.Minute

// tunnel asks an HTTP proxy for a tunnel to the target (RFC 9110, section
// 9.3.6).
func (h *hop) tunnel(ctx context.Context, via *url.URL) error {
	req, err := h.connectRequest(ctx, via)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, tunnelTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { h.conn.SetDeadline(time.Unix(1, 0)) })
	resp, err := exchangeOn(h.conn, req, h.t.maxHeaderBytes)
	if !stop() {
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	if hook := h.t.onProxyConnect; hook != nil {
		if err := hook(ctx, via, req, resp); err != nil {
			return err
		}
	}
	if resp.StatusCode != http.StatusOK {
		_, text, ok := strings.Cut(resp.Status, " ")
		if !ok {
			text = "unknown status code"
		}
		return errors.New(text)
	}
	return nil
}

func (h *hop) connectRequest(ctx context.Context, via *url.URL) (*http.Request, error) {
	header := h.t.proxyConnectHeader.Clone()
	if get := h.t.getProxyConnectHeader; get != nil {
		got, err := get(ctx, via, h.o.addr)
		if err != nil {
			return nil, err
		}
		header = got.Clone()
	}
	if header == nil {
		header = make(http.Header)
	}
	if via.User != nil {
		password, _ := via.User.Password()
		userinfo := via.User.Username() + ":" + password
		header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(userinfo)))
	}
	return &http.Request{
		Method: http.MethodConnect,
		URL:    &url.URL{Opaque: h.o.addr},
		Host:   h.o.addr,
		Header: header,
	}, nil
}

// exchangeOn sends req and reads the response's header.
func exchangeOn(c net.Conn, req *http.Request, maxHeader int64) (*http.Response, error) {
	if err := req.Write(c); err != nil {
		return nil, err
	}
	// What the reader buffers beyond the header is lost, and is nothing: a TLS
	// server does not speak first.
	return http.ReadResponse(bufio.NewReader(io.LimitReader(c, maxHeader)), req)
}
