package transport_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayopen-go/stayopen/transport"
)

// login is a client that authenticates: it asks, is told to, and does.
type login struct {
	rt     http.RoundTripper
	url    string
	user   string
	scheme string
	ctx    context.Context
	proxy  bool // 407 and its fields
	toy    bool // tokens in which nothing can be seen
	close  bool // bodies of challenges are closed unread
	// perLeg has every leg be a request of its own, with its own context.
	perLeg bool

	conns []string // the local addresses of the legs' connections
}

// leg sends one request with credentials, and returns the challenge in the
// answer, or the answer.
func (l *login) leg(token string) (status int, answer string, err error) {
	ctx := l.ctx
	if l.perLeg {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Minute)
		defer cancel()
	}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) { l.conns = append(l.conns, i.Conn.LocalAddr().String()) },
	}), "GET", l.url, nil)
	if err != nil {
		return 0, "", err
	}
	field, ask, challenged := "Authorization", "Www-Authenticate", http.StatusUnauthorized
	if l.proxy {
		field, ask, challenged = "Proxy-Authorization", "Proxy-Authenticate", http.StatusProxyAuthRequired
	}
	req.Header.Set("Tenant", l.user)
	if token != "" {
		req.Header.Set(field, l.scheme+" "+token)
	}
	resp, err := l.rt.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode == challenged {
		if !l.close {
			_, err = io.Copy(io.Discard, resp.Body)
		}
		fields := resp.Header[ask]
		return resp.StatusCode, strings.TrimPrefix(fields[len(fields)-1], l.scheme+" "), err
	}
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// run goes through all legs.
func (l *login) run() error {
	if l.ctx == nil {
		l.ctx = context.Background()
	}
	status, answer, err := l.leg("")
	if err != nil || status == http.StatusOK && answer == l.user {
		return err
	}
	return l.finish()
}

// finish is run without the leg that has no credentials.
func (l *login) finish() error {
	first := firstToken()
	if l.toy {
		first = "negotiate"
	}
	_, answer, err := l.leg(first)
	if err != nil {
		return fmt.Errorf("first token: %w", err)
	}
	challenge := words(answer)
	next := answerToken(l.user, challenge[len(challenge)-1])
	if l.toy {
		next = token("x " + l.user + " " + strings.TrimPrefix(answer, "toy-"))
	}
	status, who, err := l.leg(next)
	if err != nil || status != http.StatusOK || who != l.user {
		return fmt.Errorf("%s got %d %q, %v, want 200 and their name", l.user, status, who, err)
	}
	return nil
}

// ways are the different connections that the legs went by.
func (l *login) ways() []string {
	return slices.Compact(slices.Sorted(slices.Values(l.conns)))
}

// crowd has n others ask for what is public until stop is called.
func crowd(t *testing.T, rt http.RoundTripper, url string, n int) (stop func()) {
	done := make(chan struct{}) // closed by stop
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				req, err := http.NewRequest("GET", url+"/public", nil)
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("Tenant", fmt.Sprintf("other%d", i))
				body, resp, err := get1(rt, req)
				if err != nil || resp.StatusCode != 200 || body != "" {
					t.Errorf("a bystander got %v %q, %v, want to be nobody", resp, body, err)
					return
				}
			}
		})
	}
	return sync.OnceFunc(func() { close(done); all.Wait() })
}

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

// asksAlways asks everybody for NTLM, and has a challenge for whoever begins.
func asksAlways(w http.ResponseWriter, r *http.Request) {
	challenge := "NTLM"
	if r.Header.Get("Authorization") != "" {
		challenge += " " + challengeToken("c")
	}
	w.Header().Set("WWW-Authenticate", challenge)
	w.WriteHeader(http.StatusUnauthorized)
}

// askedInBubble is a transport in a bubble, to a server that asks always.
func askedInBubble(t *testing.T, test func(t *testing.T, tr *transport.Transport, meter *meter, ask func(token string))) {
	synctest.Test(t, func(t *testing.T) {
		_, tmpl := newMemory().serve(t, "h1", http.HandlerFunc(asksAlways))
		meter := newMeter(t)
		tr := newTransport(t, transport.Config{Template: tmpl, MeterProvider: meter.provider})
		test(t, tr, meter, func(token string) {
			t.Helper()
			req := newRequest(t, "GET", "http://a.example/", nil)
			if token != "" {
				req.Header.Set("Authorization", "NTLM "+token)
			}
			if _, resp, err := get1(tr, req); err != nil || resp.StatusCode != http.StatusUnauthorized {
				t.Fatalf("%v, %v, want 401", resp, err)
			}
		})
	})
}

// wantOpen holds how many connections wait for somebody, and how many are idle.
func wantOpen(t *testing.T, tr *transport.Transport, when string, active, idle int) {
	t.Helper()
	synctest.Wait()
	if st := tr.Stats(); st.Active != active || st.Idle != idle || st.Open != active+idle {
		t.Errorf("%s: %d active, %d idle of %d open, want %d and %d", when, st.Active, st.Idle, st.Open, active, idle)
	}
}

func TestAChallengeThatNobodyAnswersEndsItsConnection(t *testing.T) {
	askedInBubble(t, func(t *testing.T, tr *transport.Transport, meter *meter, ask func(string)) {
		ask(firstToken())
		pass(9 * time.Second)
		wantOpen(t, tr, "for ten seconds", 1, 0)
		pass(time.Second)
		wantOpen(t, tr, "then", 0, 0)
		if got, want := meter.closes(t), (map[string]int64{"private local": 1}); !maps.Equal(got, want) {
			t.Errorf("closes counted: %v, want %v", got, want)
		}
	})
}

// A crawler has no credentials. It pays for that once.
func TestConnectionsOnWhichNobodyBeginsReturnToEverybody(t *testing.T) {
	askedInBubble(t, func(t *testing.T, tr *transport.Transport, _ *meter, ask func(string)) {
		ask("")
		wantOpen(t, tr, "asked for credentials", 1, 0)
		for range 20 {
			ask("")
		}
		wantOpen(t, tr, "asked often", 1, 1) // it does not wait for everybody
		pass(time.Second)
		wantOpen(t, tr, "a second later", 0, 2)
		for range 20 {
			ask("")
			wantOpen(t, tr, "asked again", 0, 2)
		}
		// Somebody comes after all: from then on it is worth waiting.
		ask(firstToken())
		wantOpen(t, tr, "with credentials", 1, 2)
		ask("")
		wantOpen(t, tr, "asked for credentials", 2, 1)
	})
}

func TestWaitingForCredentialsHoldsNothingUp(t *testing.T) {
	for name, c := range map[string]struct {
		end    func(tr *transport.Transport) error
		active int
	}{
		"Close":                {(*transport.Transport).Close, 0},
		"Shutdown":             {func(tr *transport.Transport) error { return tr.Shutdown(context.Background()) }, 0},
		"CloseIdleConnections": {func(tr *transport.Transport) error { tr.CloseIdleConnections(); return nil }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			askedInBubble(t, func(t *testing.T, tr *transport.Transport, _ *meter, ask func(string)) {
				ask("")
				ask(answerToken("ann", "c")) // takes that one, and is challenged itself
				ask("")
				wantOpen(t, tr, "challenged, and asked for credentials", 2, 0)
				began := time.Now()
				if err := c.end(tr); err != nil {
					t.Error(err)
				}
				if took := time.Since(began); took != 0 {
					t.Errorf("it took %v, want no time", took)
				}
				wantOpen(t, tr, "after it", c.active, 0)
			})
		})
	}
}
