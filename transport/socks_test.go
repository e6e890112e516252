package transport_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// The parts of RFC 1928 and RFC 1929 that a client makes use of.
const (
	socksVersion      = 5
	socksAuthVersion  = 1
	socksNoAuth       = 0
	socksUserPassword = 2
	socksNoMethod     = 0xff
	socksConnect      = 1
	socksIPv4         = 1
	socksName         = 3
	socksIPv6         = 4
	socksOK           = 0
	socksRefused      = 5
)

// socksServer is a SOCKS5 proxy. Names ending in .example are those of this
// host, which no other resolver knows.
type socksServer struct {
	net.Listener
	user, password string // empty: none are asked for

	wg    sync.WaitGroup
	mu    sync.Mutex
	open  map[net.Conn]bool
	asked []string // the targets in the form in which they were asked for
}

func serveSOCKS(t *testing.T, user, password string) *socksServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &socksServer{Listener: l, user: user, password: password, open: make(map[net.Conn]bool)}
	s.wg.Go(s.serve)
	t.Cleanup(s.close)
	return s
}

func (s *socksServer) serve() {
	for {
		c, err := s.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.open[c] = true
		s.mu.Unlock()
		s.wg.Go(func() { s.handle(c) })
	}
}

func (s *socksServer) close() {
	s.Close()
	s.mu.Lock()
	for c := range s.open {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *socksServer) handle(c net.Conn) {
	defer c.Close()
	if err := s.greet(c); err != nil {
		return
	}
	addr, err := s.request(c)
	if err != nil {
		return
	}
	target, err := net.Dial("tcp", addr)
	reply := []byte{socksVersion, socksOK, 0, socksIPv4, 0, 0, 0, 0, 0, 0}
	if err != nil {
		reply[1] = socksRefused
		c.Write(reply)
		return
	}
	c.Write(reply)
	join(c, target)
}

// greet agrees on a way to authenticate, and does it.
func (s *socksServer) greet(c net.Conn) error {
	var head [2]byte
	if _, err := io.ReadFull(c, head[:]); err != nil || head[0] != socksVersion {
		return errors.Join(err, errors.New("not SOCKS5"))
	}
	offered := make([]byte, head[1])
	if _, err := io.ReadFull(c, offered); err != nil {
		return err
	}
	want := byte(socksNoAuth)
	if s.user != "" {
		want = socksUserPassword
	}
	if !slices.Contains(offered, want) {
		c.Write([]byte{socksVersion, socksNoMethod})
		return errors.New("no method")
	}
	c.Write([]byte{socksVersion, want})
	if want == socksNoAuth {
		return nil
	}
	return s.authenticate(c)
}

func (s *socksServer) authenticate(c net.Conn) error {
	var version [1]byte
	if _, err := io.ReadFull(c, version[:]); err != nil {
		return err
	}
	user, err := readCounted(c)
	if err != nil {
		return err
	}
	password, err := readCounted(c)
	if err != nil {
		return err
	}
	if string(user) != s.user || string(password) != s.password {
		c.Write([]byte{socksAuthVersion, 1})
		return errors.New("wrong password")
	}
	_, err = c.Write([]byte{socksAuthVersion, 0})
	return err
}

// request reads the target and returns its address.
func (s *socksServer) request(c net.Conn) (string, error) {
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil || head[1] != socksConnect {
		return "", errors.Join(err, fmt.Errorf("command %d", head[1]))
	}
	host, err := readSOCKSHost(c, head[3])
	if err != nil {
		return "", err
	}
	var port [2]byte
	if _, err := io.ReadFull(c, port[:]); err != nil {
		return "", err
	}
	asked := net.JoinHostPort(host, strconv.Itoa(int(binary.BigEndian.Uint16(port[:]))))
	s.mu.Lock()
	s.asked = append(s.asked, asked)
	s.mu.Unlock()
	if head[3] == socksName {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.Itoa(int(binary.BigEndian.Uint16(port[:])))), nil
}

func readSOCKSHost(c net.Conn, kind byte) (string, error) {
	if kind == socksName {
		name, err := readCounted(c)
		return string(name), err
	}
	raw := make([]byte, map[byte]int{socksIPv4: 4, socksIPv6: 16}[kind])
	if _, err := io.ReadFull(c, raw); err != nil {
		return "", err
	}
	ip, ok := netip.AddrFromSlice(raw)
	if !ok {
		return "", fmt.Errorf("address type %d", kind)
	}
	return ip.String(), nil
}

// readCounted reads a field that begins with its length.
func readCounted(c net.Conn) ([]byte, error) {
	var n [1]byte
	if _, err := io.ReadFull(c, n[:]); err != nil {
		return nil, err
	}
	field := make([]byte, n[0])
	_, err := io.ReadFull(c, field)
	return field, err
}

// log is the targets that were asked for.
func (s *socksServer) log() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

func TestRequestsGoThroughSOCKS5AsWithNetHTTP(t *testing.T) {
	for _, scheme := range []string{"socks5", "socks5h"} {
		inModes(t, func(t *testing.T, mode string) {
			for name, host := range map[string]string{"address": "127.0.0.1", "name": "site.example"} {
				t.Run(scheme+" "+name, func(t *testing.T) {
					var target site
					s := serve(t, mode, &target)
					p := serveSOCKS(t, "ann", "secret")
					tmpl := trusting(mode)
					tmpl.Proxy = http.ProxyURL(&url.URL{Scheme: scheme, Host: p.Addr().String(), User: url.UserPassword("ann", "secret")})
					url := strings.Replace(s.URL, "127.0.0.1", host, 1)
					sameOnBoth(t, tmpl, func(t *testing.T, rt http.RoundTripper) string { return target.report(t, rt, url) })
					want := net.JoinHostPort(host, url[strings.LastIndexByte(url, ':')+1:])
					if got := p.log(); !slices.Equal(got, []string{want, want}) {
						t.Errorf("the proxy was asked for %v by two transports, want %s once by each", got, want)
					}
				})
			}
		})
	}
}

func TestSOCKS5RefusalsReadAsWithNetHTTP(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	p := serveSOCKS(t, "ann", "secret")
	open := serveSOCKS(t, "", "")
	for name, via := range map[string]*url.URL{
		"wrong password":   {Scheme: "socks5", Host: p.Addr().String(), User: url.UserPassword("ann", "guess")},
		"no password":      {Scheme: "socks5", Host: p.Addr().String()},
		"target is closed": {Scheme: "socks5", Host: open.Addr().String()},
		"none needed":      {Scheme: "socks5", Host: open.Addr().String(), User: url.UserPassword("ann", "secret")},
	} {
		t.Run(name, func(t *testing.T) {
			tmpl := &http.Transport{Proxy: http.ProxyURL(via)}
			sameOnBoth(t, tmpl, func(t *testing.T, rt http.RoundTripper) string {
				_, _, err := get1(rt, newRequest(t, "GET", "http://"+closed.Addr().String(), nil))
				return withoutPorts(err)
			})
		})
	}
}

var localPort = regexp.MustCompile(`127\.0\.0\.1:\d+->`)

// withoutPorts is an error's text without the numbers of local ports, which
// are others each time.
func withoutPorts(err error) string {
	if err == nil {
		return "no error"
	}
	return localPort.ReplaceAllString(err.Error(), "127.0.0.1:port->")
}
