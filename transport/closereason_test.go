package transport_test

import (
	"context"
	"crypto/tls"
	"io"
	"maps"
	"net"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/stayopen-go/stayopen/transport"
)

// slowTo makes dials to a host take a second.
func slowTo(host string, tmpl *http.Transport) *http.Transport {
	dial := tmpl.DialContext
	tmpl.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if name, _, _ := net.SplitHostPort(addr); name == host {
			pass(time.Second)
		}
		return dial(ctx, network, addr)
	}
	return tmpl
}

// What the pool and the caller close, this side closes.
func TestClosesOfOursAreCountedByReason(t *testing.T) {
	for reason, c := range map[string]struct {
		cfg     transport.Config
		provoke func(t *testing.T, tr *transport.Transport)
	}{
		"idle_timeout": {transport.Config{IdleConnTimeout: time.Minute}, func(t *testing.T, tr *transport.Transport) {
			burst(t, tr, 1, "a.example")
			pass(2 * time.Minute)
		}},
		"max_age": {transport.Config{MaxConnAge: time.Minute}, func(t *testing.T, tr *transport.Transport) {
			burst(t, tr, 1, "a.example")
			pass(2 * time.Minute)
		}},
		"idle_limit": {transport.Config{MaxIdleConnsPerHost: 1}, func(t *testing.T, tr *transport.Transport) {
			burst(t, tr, 2, "a.example")
		}},
		"evicted": {transport.Config{MaxConns: 1}, func(t *testing.T, tr *transport.Transport) {
			burst(t, tr, 1, "a.example")
			burst(t, tr, 1, "b.example")
		}},
		"close_idle": {transport.Config{}, func(t *testing.T, tr *transport.Transport) {
			burst(t, tr, 1, "a.example")
			tr.CloseIdleConnections()
		}},
		"pool_closed": {transport.Config{}, func(t *testing.T, tr *transport.Transport) {
			burst(t, tr, 1, "a.example")
			// Something runs, so that the metrics are still there.
			inBackground(t, tr, "http://b.example/hang")
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			tr.Shutdown(ctx)
		}},
		"canceled": {transport.Config{}, func(t *testing.T, tr *transport.Transport) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			if _, _, err := get1(tr, newRequest(t, "GET", "http://a.example/hang", nil).WithContext(ctx)); err == nil {
				t.Error("the request was not canceled")
			}
		}},
		"body_abandoned": {transport.Config{}, func(t *testing.T, tr *transport.Transport) {
			resp, err := tr.RoundTrip(newRequest(t, "GET", "http://a.example/endless", nil))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			pass(time.Second)
		}},
		"broken": {transport.Config{}, func(t *testing.T, tr *transport.Transport) {
			req := newRequest(t, "POST", "http://a.example/", readerFunc(func([]byte) (int, error) { return 0, errFedUp }))
			if _, _, err := get1(tr, req); err == nil {
				t.Error("the request did not fail with its body")
			}
		}},
		"upgraded": {transport.Config{}, func(t *testing.T, tr *transport.Transport) {
			upgrade(t, tr, upgradeRequest(t, "http://a.example/upgrade", "websocket")).Close()
		}},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, tmpl := newMemory().serve(t, "h1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					switch r.URL.Path {
					case "/hang":
						<-r.Context().Done()
					case "/endless":
						io.Copy(w, zeros{})
					case "/upgrade":
						upgrades(w, r)
					default:
						slow(w, r)
					}
				}))
				meter := newMeter(t)
				c.cfg.Template, c.cfg.MeterProvider = tmpl, meter.provider
				tr := newTransport(t, c.cfg)
				c.provoke(t, tr)
				synctest.Wait()
				want := map[string]int64{reason + " local": 1}
				if got := meter.closes(t); !maps.Equal(got, want) {
					t.Errorf("closes counted: %v, want %v", got, want)
				}
				switch reason {
				case "pool_closed": // and stays so
					return
				case "upgraded": // which has connections of its own
					upgrade(t, tr, upgradeRequest(t, "http://a.example/upgrade", "websocket")).Close()
				default:
					burst(t, tr, 2, "a.example")
				}
				wantOpened(t, tr, transport.OpenReason(reason), 1)
			})
		})
	}
}

// endings are what a peer does to a connection that is idle after one exchange,
// and how the close is then counted.
var endings = map[string]struct {
	modes      []string
	reason, by string
	do         func(p *peer)
}{
	"close": {modes, "peer_closed", "peer", (*peer).close},
	"reset": {modes, "peer_closed", "peer", (*peer).reset},
	// TCP has heard nothing of it when we close.
	"say goodbye over TLS": {[]string{"https1", "h2"}, "peer_closed", "peer", func(p *peer) { p.Conn.(*tls.Conn).CloseWrite() }},
	"say goodbye":          {[]string{"h2"}, "goaway", "local", func(p *peer) { p.goAway(p.h2.last) }},
	"break the protocol":   {[]string{"h2"}, "protocol", "local", func(p *peer) { p.h2.WriteRawFrame(http2.FrameData, 0, 0, nil) }},
	// Nor of this: a 408 on an idle connection is a server's way to end it.
	"answer nothing by 408": {[]string{"h1", "https1"}, "peer_closed", "peer", func(p *peer) { io.WriteString(p, "HTTP/1.1 408 Request Timeout\r\n\r\n") }},
	"answer nothing by 200": {[]string{"h1", "https1"}, "unsolicited", "local", func(p *peer) { io.WriteString(p, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") }},
	"babble":                {[]string{"h1", "https1"}, "unsolicited", "local", func(p *peer) { io.WriteString(p, "x") }},
}

func TestClosesThatThePeerCausesAreCountedByReason(t *testing.T) {
	for name, c := range endings {
		for _, mode := range c.modes {
			t.Run(mode+" "+name, func(t *testing.T) {
				idle := make(chan struct{})
				s := servePeers(t, mode, func(p *peer) {
					a, err := p.request()
					if err != nil || p.answer(a, 200, "ok") != nil {
						return
					}
					<-idle
					c.do(p)
				})
				meter := newMeter(t)
				tr := newTransport(t, transport.Config{Template: s.template(), MeterProvider: meter.provider})
				mustGet(t, &http.Client{Transport: tr}, s.url)
				if got := tr.Stats(); got.Idle != 1 {
					t.Errorf("%d idle after the exchange, want 1", got.Idle)
				}
				close(idle)
				wantClose(t, tr, meter, c.reason, c.by)
				mustGet(t, &http.Client{Transport: tr}, s.url)
				wantOpened(t, tr, transport.OpenReason(c.reason), 1)
			})
		}
	}
}

func TestWhoEndedAnUpgradedConnectionIsCounted(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		for by, end := range map[string]func(u *upgraded){
			"local": func(u *upgraded) { u.ReadWriteCloser.(interface{ CloseWrite() error }).CloseWrite() },
			"peer":  func(u *upgraded) { io.WriteString(u, "quit\n") },
		} {
			s := serve(t, mode, http.HandlerFunc(upgrades))
			meter := newMeter(t)
			tr := newTransport(t, transport.Config{Template: s.template(mode), MeterProvider: meter.provider})
			u := upgrade(t, tr, upgradeRequest(t, s.URL, "websocket"))
			end(u)
			if _, err := io.Copy(io.Discard, u); err != nil {
				t.Errorf("reading to the end: %v", err)
			}
			u.Close()
			wantClose(t, tr, meter, "upgraded", by)
		}
	})
}

func TestGoAwayDuringAStreamClosesAfterIt(t *testing.T) {
	s := servePeers(t, "h2", func(p *peer) {
		a, err := p.request()
		if err != nil || p.goAway(p.h2.last) != nil {
			return
		}
		p.answer(a, 200, "ok")
	})
	meter := newMeter(t)
	tr := newTransport(t, transport.Config{Template: s.template(), MeterProvider: meter.provider})
	if body, _ := mustGet(t, &http.Client{Transport: tr}, s.url); body != "ok" {
		t.Errorf("got %q, want the answer to the stream that GOAWAY names", body)
	}
	wantClose(t, tr, meter, "goaway", "local")
}

// wantClose waits for the one connection to be closed.
func wantClose(t *testing.T, tr *transport.Transport, meter *meter, reason, by string) {
	t.Helper()
	await(t, "the close", func() bool { return tr.Stats().Closed == 1 })
	if runtime.GOOS != "linux" {
		by = "unknown"
	}
	want := map[string]int64{reason + " " + by: 1}
	if got := meter.closes(t); !maps.Equal(got, want) {
		t.Errorf("closes counted: %v, want %v", got, want)
	}
}

func TestMalformedResponseIsABrokenExchange(t *testing.T) {
	addr, _ := answering(t, "SSH-2.0-OpenSSH\r\n\r\n")
	meter := newMeter(t)
	tr := newTransport(t, transport.Config{MeterProvider: meter.provider})
	if _, _, err := get1(tr, newRequest(t, "GET", "http://"+addr, nil)); err == nil {
		t.Fatal("an SSH server spoke HTTP")
	}
	await(t, "the close", func() bool { return tr.Stats().Closed == 1 })
	got := meter.closes(t)
	if got["broken local"]+got["broken peer"]+got["broken unknown"] != 1 {
		t.Errorf("closes counted: %v, want one that is broken", got)
	}
}

func TestAgreedLastExchangeIsCountedAsSuch(t *testing.T) {
	for _, mode := range []string{"h1", "https1"} { // HTTP/2 has no Connection: close
		t.Run(mode, func(t *testing.T) {
			s := serve(t, mode, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/server" {
					w.Header().Set("Connection", "close")
				}
				io.WriteString(w, "last words")
			}))
			for _, who := range []string{"server", "client"} {
				meter := newMeter(t)
				tr := newTransport(t, transport.Config{Template: s.template(mode), MeterProvider: meter.provider})
				req := newRequest(t, "GET", s.URL+"/"+who, nil)
				req.Close = who == "client"
				if _, _, err := get1(tr, req); err != nil {
					t.Fatal(err)
				}
				await(t, "the close", func() bool { return tr.Stats().Closed == 1 })
				// Both close at the same time.
				got := meter.closes(t)
				if got["connection_close local"]+got["connection_close peer"]+got["connection_close unknown"] != 1 {
					t.Errorf("asked for by the %s: closes counted: %v, want one by agreement", who, got)
				}
			}
		})
	}
}

func TestFailedSetupIsCounted(t *testing.T) {
	s := serve(t, "https1", http.NotFoundHandler())
	for name, tmpl := range map[string]*http.Transport{
		"a certificate that is not trusted": {},
		"TLS that is none":                  {Proxy: http.ProxyURL(serveProxy(t, "h1").as(nil))},
	} {
		t.Run(name, func(t *testing.T) {
			meter := newMeter(t)
			tr := newTransport(t, transport.Config{Template: tmpl, MeterProvider: meter.provider})
			if _, _, err := get1(tr, newRequest(t, "GET", s.URL, nil)); err == nil {
				t.Fatal("the server was trusted")
			}
			await(t, "the close", func() bool { return tr.Stats().Closed == 1 })
			if got := meter.closes(t); got["setup_failed local"]+got["setup_failed peer"]+got["setup_failed unknown"] != 1 {
				t.Errorf("closes counted: %v, want one of a setup that failed", got)
			}
			if st := tr.Stats(); st.Opened != 1 || st.Wasted != 1 || st.Open != 0 {
				t.Errorf("%d opened, %d wasted, %d open, want 1, 1 and 0", st.Opened, st.Wasted, st.Open)
			}
		})
	}
}
