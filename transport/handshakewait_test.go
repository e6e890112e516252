package transport_test

import (
	"context"
	"maps"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayopen-go/stayopen/transport"
)

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
