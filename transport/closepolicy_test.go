package transport_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayopen-go/stayopen/internal/checks/mustrun"
	"github.com/stayopen-go/stayopen/transport"
)

// net/http closes such a connection before it returns the response.
func TestTheLastExchangeIsCountedAsSuchAlsoWithoutABody(t *testing.T) {
	const requests = 50
	for _, mode := range []string{"h1", "https1"} {
		for _, path := range []string{"/no-content", "/empty", "/body"} {
			for _, client := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s%s, the client says it %v", mode, path, client), func(t *testing.T) {
					s := serve(t, mode, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if !client {
							w.Header().Set("Connection", "close")
						}
						switch r.URL.Path {
						case "/no-content":
							w.WriteHeader(http.StatusNoContent)
						case "/body":
							io.WriteString(w, "hello")
						}
					}))
					m := newMeter(t)
					tr := newTransport(t, transport.Config{Template: s.template(mode), MeterProvider: m.provider})
					for range requests {
						req := newRequest(t, "GET", s.URL+path, nil)
						req.Close = client
						if _, _, err := get1(tr, req); err != nil {
							t.Fatal(err)
						}
					}
					awaitCounted(t, tr)
					got := m.closes(t)
					if n := got["connection_close peer"] + got["connection_close local"] + got["connection_close unknown"]; n != requests {
						t.Errorf("closes counted: %v, want %d for the reason connection_close", got, requests)
					}
					if runtime.GOOS == "linux" && mode == "h1" && got["connection_close peer"] != requests {
						t.Errorf("closes counted: %v, want all by the peer", got)
					}
				})
			}
		}
	}
}

// awaitCounted waits until every connection that is not open any more has been
// counted.
func awaitCounted(t *testing.T, tr *transport.Transport) {
	t.Helper()
	await(t, "all closes to be counted", func() bool {
		st := tr.Stats()
		return st.Active == 0 && st.Dialing == 0 && uint64(st.Open)+st.Closed == st.Opened
	})
}

// deaf is a peer that says Connection: close and does not close.
func deaf(p *peer) {
	if _, err := p.request(); err != nil {
		return
	}
	io.WriteString(p, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
}

// needWaiting skips the test where nobody waits for the peer.
func needWaiting(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		mustrun.Skipf(t, "Windows has no close that waits for the peer")
	}
}

func TestCloseAndShutdownEndTheWaitForPeers(t *testing.T) {
	needWaiting(t)
	for name, end := range map[string]func(*transport.Transport) error{
		"Close":    (*transport.Transport).Close,
		"Shutdown": func(tr *transport.Transport) error { return tr.Shutdown(context.Background()) },
	} {
		for _, mode := range []string{"h1", "https1"} {
			t.Run(name+" "+mode, func(t *testing.T) {
				s := servePeers(t, mode, deaf)
				tr := newTransport(t, transport.Config{Template: s.template(), ClosePolicy: transport.ClosePolicy{PeerFirst: time.Hour}})
				for range 3 {
					mustGet(t, &http.Client{Transport: tr}, s.url)
				}
				await(t, "the places in the pool to be free", func() bool { return tr.Stats().Open == 0 })
				if got := tr.Stats(); got.Closed != 0 {
					t.Errorf("%d closed, want none while the peers are waited for", got.Closed)
				}
				if err := end(tr); err != nil {
					t.Error(err)
				}
				want := uint64(0)
				if runtime.GOOS == "linux" {
					want = 3
				}
				if got := tr.Stats(); got.Closed != 3 || got.TimeWaits != want {
					t.Errorf("%d closed, %d in TIME_WAIT when it had returned, want 3 and %d", got.Closed, got.TimeWaits, want)
				}
			})
		}
	}
}

func TestAPeerThatDoesNotCloseIsWaitedForOnlySoLong(t *testing.T) {
	for name, c := range map[string]struct {
		policy    transport.ClosePolicy
		timeWaits uint64
	}{
		"closed":                 {transport.ClosePolicy{PeerFirst: 20 * time.Millisecond}, 1},
		"closed at once":         {transport.ClosePolicy{PeerFirst: -1}, 1},
		"reset":                  {transport.ClosePolicy{PeerFirst: 20 * time.Millisecond, ResetIdle: transport.ResetAlways}, 0},
		"never, even if one can": {transport.ClosePolicy{PeerFirst: 20 * time.Millisecond, ResetIdle: transport.ResetNever}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := servePeers(t, "h1", deaf)
			m := newMeter(t)
			tr := newTransport(t, transport.Config{ClosePolicy: c.policy, MeterProvider: m.provider})
			mustGet(t, &http.Client{Transport: tr}, s.url)
			wantClose(t, tr, m, "connection_close", "local")
			if got := tr.Stats().TimeWaits; runtime.GOOS == "linux" && got != c.timeWaits {
				t.Errorf("%d TIME_WAITs counted, want %d", got, c.timeWaits)
			}
		})
	}
}

// A connection that is soon to be retired is closed by the peer, if a request
// comes by which it can be told.
func TestARequestOnAnOldConnectionSaysThatItIsTheLast(t *testing.T) {
	// After nine tenths of the age: later than any request says it for the first
	// time, and no later than any connection is retired.
	const age, old = time.Minute, 54 * time.Second
	for name, c := range map[string]struct {
		after  time.Duration
		change func(*http.Request)
		says   bool
	}{
		"old":                    {old, func(*http.Request) {}, true},
		"old, with a body":       {old, func(r *http.Request) { r.Method, r.Body = "POST", io.NopCloser(&io.LimitedReader{R: zeros{}, N: 10}) }, true},
		"not so old":             {age / 2, func(*http.Request) {}, false},
		"with a word of its own": {old, func(r *http.Request) { r.Header.Set("Connection", "x-hop") }, false},
		"with NTLM":              {old, func(r *http.Request) { r.Header.Set("Authorization", "NTLM TlRMTVNTUAABAAAA") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var said atomic.Bool
				_, tmpl := newMemory().serve(t, "h1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					io.Copy(io.Discard, r.Body)
					said.Store(r.Close)
				}))
				m := newMeter(t)
				tr := newTransport(t, transport.Config{Template: tmpl, MaxConnAge: age, MeterProvider: m.provider})
				send := func() *http.Request {
					req := newRequest(t, "GET", "http://a.example/", nil)
					c.change(req)
					if _, _, err := get1(tr, req); err != nil {
						t.Fatal(err)
					}
					return req
				}
				send()
				if said.Load() {
					t.Error("the first request said that it was the last")
				}
				pass(c.after)
				before := tr.Stats()
				req := send()
				if said.Load() != c.says {
					t.Errorf("a request after %v: Connection: close %v, want %v", c.after, said.Load(), c.says)
				}
				if req.Close || req.Header.Get("Connection") == "close" {
					t.Error("the caller's request was changed")
				}
				synctest.Wait()
				if got := m.closes(t)["max_age local"]; c.says && (got != 1 || tr.Stats().Opened != before.Opened) {
					t.Errorf("closes counted: %v, want 1 by age, and no other connection", m.closes(t))
				}
			})
		})
	}
}

func TestTheLastRequestThatAConnectionTakesSaysSo(t *testing.T) {
	for mode, says := range map[string]bool{"h1": true, "https1": true, "h2": false} {
		t.Run(mode, func(t *testing.T) {
			var said []bool
			s := serve(t, mode, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				said = append(said, r.Close)
			}))
			m := newMeter(t)
			tr := newTransport(t, transport.Config{Template: s.template(mode), MaxRequestsPerConn: 3, MeterProvider: m.provider})
			for range 6 {
				mustGet(t, &http.Client{Transport: tr}, s.URL)
			}
			if want := []bool{false, false, says, false, false, says}; !slices.Equal(said, want) {
				t.Errorf("requests said Connection: close: %v, want %v", said, want)
			}
			awaitCounted(t, tr)
			await(t, "two closes for that reason", func() bool {
				got := m.closes(t)
				return got["max_leases peer"]+got["max_leases local"]+got["max_leases unknown"] == 2
			})
		})
	}
}
