package transport_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stayopen-go/stayopen/transport"
)

// The first handshake goes by the connection that was first asked for it.
func TestAHandshakeCompletesAmongOthersWhoNeverRideItsConnection(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		for _, scheme := range []string{"NTLM", "Negotiate"} {
			s := serveAuth(t, mode)
			tr, _ := forServer(t, s.server, mode)
			stop := crowd(t, tr, s.URL, 20)
			l := &login{rt: tr, url: s.URL, user: "ann", scheme: scheme}
			if err := l.run(); err != nil {
				t.Error(err)
			}
			await(t, "others to go on", func() bool { return s.answers.Load() > 200 })
			stop()
			if mode == "h2" { // the first leg shared the others' connection, which is HTTP/2's
				l.conns = l.conns[1:]
			}
			if conns := l.ways(); len(conns) != 1 {
				t.Errorf("%s: the legs went by %v, want one connection", scheme, conns)
			}
		}
	})
}

func TestHandshakesOfManyUsersDoNotGetInEachOthersWay(t *testing.T) {
	const users, times = 8, 5
	inModes(t, func(t *testing.T, mode string) {
		s := serveAuth(t, mode)
		tr, _ := forServer(t, s.server, mode)
		stop := crowd(t, tr, s.URL, 20)
		var all sync.WaitGroup
		for i := range users {
			all.Go(func() {
				for range times {
					// A context of their own tells them apart.
					ctx, cancel := context.WithCancel(context.Background())
					l := &login{rt: tr, url: s.URL, user: fmt.Sprintf("user%d", i), scheme: "NTLM", ctx: ctx}
					if err := l.run(); err != nil {
						t.Error(err)
					}
					cancel()
				}
			})
		}
		all.Wait()
		stop()
		if got := len(s.logins()); got != users*times {
			t.Errorf("%d handshakes completed, want %d", got, users*times)
		}
	})
}

// The URL tells them apart as well, where every leg has a context of its own.
func TestHandshakesAreToldApartByTheirURLs(t *testing.T) {
	const users = 8
	s := serveAuth(t, "h1")
	tr, _ := forServer(t, s.server, "h1")
	var all sync.WaitGroup
	for i := range users {
		all.Go(func() {
			user := fmt.Sprintf("user%d", i)
			l := &login{rt: tr, url: s.URL + "/" + user, user: user, scheme: "NTLM", perLeg: true}
			if err := l.run(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// One connection for those who ask, one for those who authenticate.
func TestHandshakesInARowOpenNoConnectionsOfTheirOwn(t *testing.T) {
	for _, mode := range []string{"h1", "https1"} {
		t.Run(mode, func(t *testing.T) {
			s := serveAuth(t, mode)
			tr, _ := forServer(t, s.server, mode)
			for i := range 20 {
				l := &login{rt: tr, url: s.URL, user: fmt.Sprintf("user%d", i), scheme: "NTLM"}
				if err := l.run(); err != nil {
					t.Fatal(err)
				}
			}
			if st := tr.Stats(); st.Opened != 2 || st.Closed != 0 {
				t.Errorf("%d opened, %d closed for 20 handshakes, want 2 and 0", st.Opened, st.Closed)
			}
		})
	}
}

// Whoever does not wait to be asked gets a connection of their own at once, and
// nobody else's.
func TestCredentialsSentUnaskedKeepToAConnectionOfTheirOwn(t *testing.T) {
	for _, mode := range []string{"h1", "https1"} {
		t.Run(mode, func(t *testing.T) {
			s := serveAuth(t, mode)
			tr, c := forServer(t, s.server, mode)
			mustGet(t, c, s.URL+"/public")
			l := &login{rt: tr, url: s.URL, user: "ann", scheme: "Negotiate", ctx: context.Background()}
			if err := l.finish(); err != nil {
				t.Error(err)
			}
			mustGet(t, c, s.URL+"/public")
			if st := tr.Stats(); st.Opened != 2 || st.Idle != 2 {
				t.Errorf("%d opened, %d idle, want 2 of each", st.Opened, st.Idle)
			}
		})
	}
}

// Whoever passes requests on may be given a second Authorization, of which the
// server may take either.
func TestASecondAuthorizationKeepsToAConnectionOfItsOwn(t *testing.T) {
	s := serveAuth(t, "h1")
	tr, c := forServer(t, s.server, "h1")
	mustGet(t, c, s.URL+"/public")
	req := newRequest(t, "GET", s.URL, nil)
	req.Header["Authorization"] = []string{"Basic eDp4", "NTLM " + firstToken()}
	if _, _, err := get1(tr, req); err != nil {
		t.Fatal(err)
	}
	if got := tr.Stats().Opened; got != 2 {
		t.Errorf("%d connections opened, want one for each", got)
	}
}

// Without a challenge that waits for it, an answer is sent, and refused, on a
// connection that is nobody's; never on one that somebody has authenticated.
func TestAnAnswerWithoutAChallengeGetsNobodysConnection(t *testing.T) {
	s := serveAuth(t, "h1")
	meter := newMeter(t)
	tr := newTransport(t, transport.Config{Template: s.template("h1"), MeterProvider: meter.provider})
	ann := &login{rt: tr, url: s.URL, user: "ann", scheme: "NTLM", ctx: context.Background()}
	if err := ann.finish(); err != nil {
		t.Fatal(err)
	}
	bob := &login{rt: tr, url: s.URL, user: "bob", scheme: "NTLM", ctx: context.Background()}
	for _, answer := range []string{answerToken("bob", "c1"), "unheard-of", ""} {
		if status, _, err := bob.leg(answer); err != nil || status != http.StatusUnauthorized {
			t.Errorf("%q got %d, %v, want 401", answer, status, err)
		}
	}
	if slices.Contains(bob.conns, ann.conns[0]) {
		t.Error("bob came by ann's connection")
	}
	await(t, "the connections to be closed", func() bool { return meter.closes(t)["private local"]+meter.closes(t)["private unknown"] == 2 })
}

// Tokens in which no place can be seen: the handshake completes, and as nobody
// could be trusted to begin another one, its connection is then closed.
func TestAHandshakeOfUnknownKindGetsAConnectionForItself(t *testing.T) {
	s := serveAuth(t, "h1")
	s.toy = true
	meter := newMeter(t)
	tr := newTransport(t, transport.Config{Template: s.template("h1"), MeterProvider: meter.provider})
	stop := crowd(t, tr, s.URL, 20)
	l := &login{rt: tr, url: s.URL, user: "ann", scheme: "NTLM", toy: true}
	if err := l.run(); err != nil {
		t.Error(err)
	}
	stop()
	if conns := l.ways(); len(conns) != 1 {
		t.Errorf("the legs went by %v, want one connection", conns)
	}
	await(t, "its connection to be closed", func() bool { return tr.Stats().Closed == 1 })
	if got := meter.closes(t); got["private local"]+got["private unknown"] != 1 {
		t.Errorf("closes counted: %v, want one that is private", got)
	}
}

// In a partition everybody is the same user: what one has authenticated, all
// ride, once the handshake is through.
func TestAPartitionSharesWhatItHasAuthenticated(t *testing.T) {
	for _, mode := range []string{"h1", "https1"} {
		t.Run(mode, func(t *testing.T) {
			s := serveAuth(t, mode)
			tr := newTransport(t, transport.Config{Template: s.template(mode), Partition: tenant})
			stop := crowd(t, tr, s.URL, 20)
			var all sync.WaitGroup
			for range 3 {
				for _, user := range []string{"ann", "bob"} {
					all.Go(func() {
						for range 5 {
							ctx, cancel := context.WithCancel(context.Background())
							if err := (&login{rt: tr, url: s.URL, user: user, scheme: "NTLM", ctx: ctx}).run(); err != nil {
								t.Error(err)
							}
							cancel()
						}
					})
				}
			}
			all.Wait()
			stop()
			logins := len(s.logins())
			for _, user := range []string{"ann", "bob"} {
				l := &login{rt: tr, url: s.URL, user: user, scheme: "NTLM", ctx: context.Background()}
				if status, who, err := l.leg(""); err != nil || status != 200 || who != user {
					t.Errorf("%s without credentials got %d %q, %v, want to be known", user, status, who, err)
				}
			}
			if got := len(s.logins()); got != logins || logins < 2 {
				t.Errorf("%d handshakes, %d at the end, want at least one each and no more at the end", logins, got)
			}
		})
	}
}

// A proxy's users are its own affair: the connection is to the proxy.
func TestAHandshakeWithAProxyCompletesAmongOthers(t *testing.T) {
	s := serveAuth(t, "h1")
	s.proxy = true
	tmpl := s.template("h1")
	via := (&httpProxy{server: s.server}).as(nil)
	tmpl.Proxy = http.ProxyURL(via)
	tr := newTransport(t, transport.Config{Template: tmpl})
	stop := crowd(t, tr, "http://public.example", 20)
	l := &login{rt: tr, url: "http://secret.example", user: "ann", scheme: "NTLM", proxy: true}
	if err := l.run(); err != nil {
		t.Error(err)
	}
	if conns := l.ways(); len(conns) != 1 {
		t.Errorf("the legs went by %v, want one connection", conns)
	}
	// The same connection serves the proxy's other targets, for who begins anew.
	l.url = "http://other.example"
	if err := l.finish(); err != nil {
		t.Error(err)
	}
	stop()
	if conns := l.ways(); len(conns) != 1 {
		t.Errorf("the legs went by %v, want one connection", conns)
	}
}

// A target behind a proxy takes the connection for a user; another target must
// not see it.
func TestAHandshakeWithATargetBehindAProxyIsNotSharedWithOtherTargets(t *testing.T) {
	s := serveAuth(t, "h1")
	tmpl := s.template("h1")
	tmpl.Proxy = http.ProxyURL((&httpProxy{server: s.server}).as(nil))
	tr := newTransport(t, transport.Config{Template: tmpl})
	one := &login{rt: tr, url: "http://one.example", user: "ann", scheme: "NTLM", ctx: context.Background()}
	two := &login{rt: tr, url: "http://two.example", user: "ann", scheme: "NTLM", ctx: context.Background()}
	for range 2 {
		for _, l := range []*login{one, two} {
			if err := l.finish(); err != nil {
				t.Error(err)
			}
		}
	}
	first, second := one.ways(), two.ways()
	if len(first) != 1 || len(second) != 1 || first[0] == second[0] {
		t.Errorf("one target's legs went by %v, the other's by %v, want one connection each", first, second)
	}
}

// The challenge's body is drained while the answer is on its way already.
func TestAnAnswerWaitsForTheChallengesBody(t *testing.T) {
	for _, mode := range []string{"h1", "https1"} {
		t.Run(mode, func(t *testing.T) {
			s := serveAuth(t, mode)
			s.body = strings.Repeat("no entry ", 20_000)
			tr, _ := forServer(t, s.server, mode)
			for range 10 {
				l := &login{rt: tr, url: s.URL, user: "ann", scheme: "NTLM", close: true}
				if err := l.run(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// The server ends the connection with its challenge: the handshake cannot
// succeed, and nobody waits for it.
func TestAChallengeThatEndsItsConnectionLeavesNothingBehind(t *testing.T) {
	s := serveAuth(t, "h1")
	s.closing = true
	tr, _ := forServer(t, s.server, "h1")
	l := &login{rt: tr, url: s.URL, user: "ann", scheme: "NTLM"}
	if err := l.run(); err == nil {
		t.Error("the handshake succeeded on a connection that had ended: the run is void")
	}
	await(t, "all to be closed", func() bool { st := tr.Stats(); return st.Closed == st.Opened && st.Active == 0 })
}
