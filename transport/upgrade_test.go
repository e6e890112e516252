package transport_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stayopen-go/stayopen/transport"
)

// upgrades is a handler that answers an upgrade with an echo, in capitals, and
// everything else with the protocol that it came by. The 101 and the first word
// leave in one packet. When the client has sent all, so has the server, and
// when it says quit.
func upgrades(w http.ResponseWriter, r *http.Request) { upgradesWith(w, r, "bye\n") }

// upgradesWith says farewell at the end, be it the peer's.
func upgradesWith(w http.ResponseWriter, r *http.Request, farewell string) {
	protocol := r.Header.Get("Upgrade")
	if protocol == "" {
		io.WriteString(w, r.Proto)
		return
	}
	if protocol == "nonsense" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		io.WriteString(w, err.Error())
		return
	}
	defer c.Close()
	fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\nwelcome\n", protocol)
	rw.Flush()
	for {
		line, err := rw.ReadString('\n')
		if err != nil || line == "quit\n" {
			io.WriteString(c, farewell)
			return
		}
		io.WriteString(c, strings.ToUpper(line))
	}
}

func upgradeRequest(t *testing.T, url, protocol string) *http.Request {
	t.Helper()
	req := newRequest(t, "GET", url, nil)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", protocol)
	return req
}

// upgraded is the client's end of an upgraded connection.
type upgraded struct {
	io.ReadWriteCloser
	lines *bufio.Reader
}

func upgrade(t *testing.T, rt http.RoundTripper, req *http.Request) *upgraded {
	t.Helper()
	u, err := tryUpgrade(rt, req)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func tryUpgrade(rt http.RoundTripper, req *http.Request) (*upgraded, error) {
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("upgrade to %s: %w", req.Header.Get("Upgrade"), err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		return nil, fmt.Errorf("upgrade to %s: %s, %s", req.Header.Get("Upgrade"), resp.Status, body)
	}
	rwc, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		return nil, fmt.Errorf("the body of a 101 is a %T, want an io.ReadWriteCloser", resp.Body)
	}
	return &upgraded{rwc, bufio.NewReader(rwc)}, nil
}

// echo says a word and checks what comes back.
func (u *upgraded) echo(t *testing.T, word string) {
	t.Helper()
	if err := u.tryEcho(word); err != nil {
		t.Fatal(err)
	}
}

func (u *upgraded) tryEcho(word string) error {
	if _, err := io.WriteString(u, word+"\n"); err != nil {
		return fmt.Errorf("writing to the upgraded connection: %w", err)
	}
	return u.tryExpect(strings.ToUpper(word))
}

func (u *upgraded) expect(t *testing.T, want string) {
	t.Helper()
	if err := u.tryExpect(want); err != nil {
		t.Fatal(err)
	}
}

func (u *upgraded) tryExpect(want string) error {
	if got, err := u.lines.ReadString('\n'); got != want+"\n" {
		return fmt.Errorf("read %q, %w from the upgraded connection, want %q", got, err, want)
	}
	return nil
}

func TestUpgradesWorkToServersThatAlsoSpeakHTTP2(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		for _, protocol := range []string{"websocket", "tcp"} {
			t.Run(protocol, func(t *testing.T) {
				s := serve(t, mode, http.HandlerFunc(upgrades))
				tr, c := forServer(t, s, mode)
				want, _ := mustGet(t, c, s.URL) // the server speaks what it speaks
				if got := map[string]string{"h1": "HTTP/1.1", "https1": "HTTP/1.1", "h2": "HTTP/2.0"}[mode]; got != want {
					t.Fatalf("the server saw %s, want %s", want, got)
				}
				u := upgrade(t, tr, upgradeRequest(t, s.URL, protocol))
				u.expect(t, "welcome")
				u.echo(t, "hello")
				if got := tr.Stats(); got.Active != 0 || got.Exchanges != 2 {
					t.Errorf("during the upgrade: %d active, %d exchanges, want 0 and 2", got.Active, got.Exchanges)
				}
				mustGet(t, c, s.URL)
				u.echo(t, "again")
				if err := u.Close(); err != nil {
					t.Errorf("closing the upgraded connection: %v", err)
				}
				// HTTP/2's connection stays as it is, and HTTP/1's is handed out.
				if got, want := s.accepts.Load(), int64(2); got != want {
					t.Errorf("%d connections, want %d", got, want)
				}
				if got := tr.Stats(); got.Closed != 1 || got.Open != 1 {
					t.Errorf("%d closed, %d open, want 1 and 1", got.Closed, got.Open)
				}
			})
		}
	})
}

// As in net/http, whose Transport takes every upgrade but WebSocket's to
// HTTP/2 if the server speaks that: the difference that the documentation
// names.
func TestUpgradesBesideWebSocketFailOverHTTP2WithNetHTTP(t *testing.T) {
	s := serve(t, "h2", http.HandlerFunc(upgrades))
	theirs := s.template("h2")
	defer theirs.CloseIdleConnections()
	resp, err := theirs.RoundTrip(upgradeRequest(t, s.URL, "tcp"))
	if err == nil {
		resp.Body.Close()
		t.Errorf("http.Transport upgraded to tcp: %s; the documentation of this package says it cannot", resp.Status)
	}
}

func TestUpgradedConnectionOutlivesContextAndTransport(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		s := serve(t, mode, http.HandlerFunc(upgrades))
		tr, _ := forServer(t, s, mode)
		ctx, cancel := context.WithCancel(context.Background())
		u := upgrade(t, tr, upgradeRequest(t, s.URL, "websocket").WithContext(ctx))
		u.expect(t, "welcome")
		cancel()
		u.echo(t, "still here")
		tr.CloseIdleConnections()
		if err := tr.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		tr.Close()
		u.echo(t, "and here")
		u.Close()
		await(t, "the close to be counted", func() bool { st := tr.Stats(); return st.Closed == st.Opened })
	})
}

func TestUpgradedConnectionCanBeClosedForWriting(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		s := serve(t, mode, http.HandlerFunc(upgrades))
		tr, _ := forServer(t, s, mode)
		u := upgrade(t, tr, upgradeRequest(t, s.URL, "websocket"))
		u.expect(t, "welcome")
		cw, ok := u.ReadWriteCloser.(interface{ CloseWrite() error })
		if !ok {
			t.Fatalf("the body of a 101 is a %T, which has no CloseWrite", u.ReadWriteCloser)
		}
		if err := cw.CloseWrite(); err != nil {
			t.Fatalf("CloseWrite: %v", err)
		}
		u.expect(t, "bye") // the server had all of ours, and its own way back
		if _, err := u.lines.ReadByte(); err != io.EOF {
			t.Errorf("after the server's last word: %v, want %v", err, io.EOF)
		}
		u.Close()
	})
}

func TestRefusedUpgradeKeepsTheConnection(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		s := serve(t, mode, http.HandlerFunc(upgrades))
		tr, _ := forServer(t, s, mode)
		for range 3 {
			_, resp, err := get1(tr, upgradeRequest(t, s.URL, "nonsense"))
			if err != nil || resp.StatusCode != http.StatusBadRequest {
				t.Fatalf("got %v, %v, want 400", resp, err)
			}
		}
		upgrade(t, tr, upgradeRequest(t, s.URL, "websocket")).Close()
		if got := s.accepts.Load(); got != 1 {
			t.Errorf("%d connections for three refused upgrades and one that was not, want 1", got)
		}
	})
}

func TestUpgradesGoThroughProxies(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		s := serve(t, mode, http.HandlerFunc(upgrades))
		socks := serveSOCKS(t, "", "")
		via := map[string]*url.URL{"socks5": {Scheme: "socks5", Host: socks.Addr().String()}}
		if mode != "h1" { // in absolute form, our proxy would have to upgrade as well
			via["http"] = serveProxy(t, "h1").as(nil)
			via["https"] = serveProxy(t, "https1").as(nil)
		}
		for name, proxy := range via {
			t.Run(name, func(t *testing.T) {
				tmpl := trusting(mode)
				tmpl.Proxy = http.ProxyURL(proxy)
				tr := newTransport(t, transport.Config{Template: tmpl})
				u := upgrade(t, tr, upgradeRequest(t, s.URL, "websocket"))
				u.expect(t, "welcome")
				u.echo(t, "hello")
				u.Close()
			})
		}
	})
}
