package main

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// runJSON runs compare with args and -json, and returns its clients by name.
func runJSON(t *testing.T, ctx context.Context, stderr io.Writer, wantCode int, args ...string) map[string]figures {
	t.Helper()
	var stdout, log strings.Builder
	code := run(ctx, append(args, "-json"), &stdout, io.MultiWriter(stderr, &log))
	if code != wantCode {
		t.Fatalf("got exit code %d, want %d; stderr:\n%s", code, wantCode, log.String())
	}
	var got struct {
		Clients []figures `json:"clients"`
	}
	if err := json.Unmarshal([]byte(stdout.String()), &got); err != nil {
		t.Fatalf("stdout is not one JSON value: %v:\n%s", err, stdout.String())
	}
	clients := map[string]figures{}
	for _, c := range got.Clients {
		clients[c.Name] = c
	}
	return clients
}

func TestAShortRunCountsWhatHappened(t *testing.T) {
	// Exit code 0 says that stayopen's own figures are the server's.
	clients := runJSON(t, t.Context(), io.Discard, 0,
		"-bursts=3", "-burst-size=50", "-pause=20ms", "-mix=400ms", "-rate=500", "-origins=10")
	if len(clients) != 3 {
		t.Fatalf("got %d clients, want 3", len(clients))
	}
	for name, f := range clients {
		if f.Requests != 350 || f.Errors != 0 {
			t.Errorf("%s: got %d requests and %d errors, want 350 and 0", name, f.Requests, f.Errors)
		}
		if *f.Opened < *f.OpenedBursts || *f.OpenedBursts < 1 {
			t.Errorf("%s: got %d connections, %d of them in bursts", name, *f.Opened, *f.OpenedBursts)
		}
		if *f.ClosesAvoided < 350-*f.Opened || *f.ClosesAvoided >= 350 {
			t.Errorf("%s: got %d closes avoided with %d connections for 350 requests", name, *f.ClosesAvoided, *f.Opened)
		}
		if f.CPUMicros == nil || *f.CPUMicros <= 0 {
			t.Errorf("%s: got CPU per request %v, want more than none", name, f.CPUMicros)
		}
		if least := minDelay.Seconds() * 1000; *f.P50 < least || *f.P99 < *f.P50 {
			t.Errorf("%s: got p50 %v ms and p99 %v ms, want at least %v and rising", name, *f.P50, *f.P99, least)
		}
	}
	def, own := clients["default"], clients["stayopen"]
	// One for each request of a burst and, where a dial takes so long that nobody
	// counts on it any more, a few in place of those.
	if *own.OpenedBursts >= *def.OpenedBursts {
		t.Errorf("stayopen opened %d connections in bursts of 50, want fewer than default's %d", *own.OpenedBursts, *def.OpenedBursts)
	}
	if *own.Closed != 0 {
		t.Errorf("stayopen closed %d connections while it ran, want 0", *own.Closed)
	}
	// Two of fifty stay after each burst, so the other two bursts open 48
	// each, less those that came free within the burst.
	if *def.OpenedBursts <= 75 {
		t.Errorf("default opened %d connections in 3 bursts of 50, want most of them anew", *def.OpenedBursts)
	}
	if runtime.GOOS != "linux" {
		if own.TimeWait != nil {
			t.Errorf("got %d TIME_WAITs, want null: nobody counts them here", *own.TimeWait)
		}
		return
	}
	if *own.TimeWait != 0 || *own.TimeWaitBursts != 0 {
		t.Errorf("stayopen left %d TIME_WAITs, %d of them after the bursts, want 0", *own.TimeWait, *own.TimeWaitBursts)
	}
	// Crossing closes are the only way to lose one in so short a time.
	if *def.TimeWaitBursts < *def.OpenedBursts/2 {
		t.Errorf("default left %d TIME_WAITs after opening %d connections, want one for nearly each", *def.TimeWaitBursts, *def.OpenedBursts)
	}
}

// The server and the client agree only when nothing is counted twice or
// missed, so the figures must be checked one by one, too.
func TestStayopensOwnFiguresAreTheServers(t *testing.T) {
	o, err := parseOptions([]string{"-bursts=3", "-burst-size=50", "-pause=20ms", "-mix=200ms", "-rate=500", "-origins=10"})
	if err != nil {
		t.Fatal(err)
	}
	sites, stop, err := newSites(o, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	c, err := newStayopen()
	if err != nil {
		t.Fatal(err)
	}
	m, err := measure(t.Context(), c, sites[0], newPlan(o), newProgress(io.Discard, false))
	if err != nil {
		t.Fatal(err)
	}
	counted := m.afterMix.tally
	if int64(m.stats.Opened) != counted.Accepted {
		t.Errorf("stayopen opened %d connections, the server accepted %d", m.stats.Opened, counted.Accepted)
	}
	if m.stats.Requests != 250 || m.stats.Exchanges != 250 || counted.Answers != 250 {
		t.Errorf("got %d requests, %d exchanges, %d answers, want 250 of each", m.stats.Requests, m.stats.Exchanges, counted.Answers)
	}
	if int64(m.stats.Served) != counted.Served || int64(m.stats.ClosesAvoided) != counted.Answers-counted.Served {
		t.Errorf("stayopen served on %d connections and avoided %d closes, by the server's count %d and %d",
			m.stats.Served, m.stats.ClosesAvoided, counted.Served, counted.Answers-counted.Served)
	}
	if open := m.afterClose.tally.Open; open != 0 {
		t.Errorf("after Close %d connections are open, want 0", open)
	}
}

func TestAnInterruptedRunPrintsWhatThereIs(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	clients := runJSON(t, ctx, writerFunc(func(p []byte) {
		if strings.Contains(string(p), "tuned") && strings.Contains(string(p), "40 of 40") {
			cancel()
		}
	}), exitInterrupted, "-bursts=2", "-burst-size=20", "-pause=1ms", "-mix=100ms", "-rate=500", "-origins=3")
	if got := clients["default"].Requests; got != 90 {
		t.Errorf("default, done before the interrupt: got %d requests, want 90", got)
	}
	if got := clients["tuned"].Requests; got != 40 {
		t.Errorf("tuned, interrupted after its bursts: got %d requests, want 40", got)
	}
	if _, ok := clients["stayopen"]; ok {
		t.Error("stayopen has figures of a run that did not happen")
	}
}

// writerFunc is a Writer that looks at what is written.
type writerFunc func(p []byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}

func TestTheUsersOwnServerGetsTheSameLoad(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				<-time.After(minDelay)
				io.WriteString(w, body)
			}))
			if scheme == "https" {
				srv.StartTLS()
				trust(t, srv)
			} else {
				srv.Start()
			}
			defer srv.Close()
			clients := runJSON(t, t.Context(), io.Discard, 0, "-url", srv.URL, "-bursts=3", "-burst-size=20", "-pause=10ms", "-mix=100ms", "-rate=400")
			for _, name := range []string{"default", "tuned", "stayopen"} {
				f := clients[name]
				if f.Requests != 100 || f.Errors != 0 {
					t.Errorf("%s: got %d requests and %d errors, want 100 and 0", name, f.Requests, f.Errors)
				}
				if f.Opened == nil || *f.Opened < 1 || *f.ClosesAvoided != 100-*f.Opened {
					t.Errorf("%s: got %v opened and %v avoided, want at least 1, and 100 in all", name, f.Opened, f.ClosesAvoided)
				}
				if f.Closed != nil || f.ServerTimeWait != nil {
					t.Errorf("%s: got closes %v and the server's TIME_WAITs %v, want null: they cannot be seen from here", name, f.Closed, f.ServerTimeWait)
				}
			}
			def, own := clients["default"], clients["stayopen"]
			if *own.OpenedBursts >= *def.OpenedBursts {
				t.Errorf("stayopen opened %d connections in bursts of 20, want fewer than default's %d", *own.OpenedBursts, *def.OpenedBursts)
			}
			if own.TimeWait != nil && *own.TimeWait != 0 {
				t.Errorf("stayopen left %d TIME_WAITs, want 0", *own.TimeWait)
			}
			if scheme == "http" && def.TimeWait != nil && *def.TimeWait < 20 {
				t.Errorf("default left %d TIME_WAITs, want most of the %d it opened", *def.TimeWait, *def.Opened)
			}
		})
	}
}

// trust makes this process trust srv's certificate. The system's roots are
// read once, at the first handshake, and httptest's certificate never changes.
func trust(t *testing.T, srv *httptest.Server) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the roots do not come from a file here")
	}
	file := filepath.Join(t.TempDir(), "roots.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(file, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", file)
}

func TestAServerThatIsNotThereIsCountedAsFailures(t *testing.T) {
	srv := httptest.NewServer(nil)
	srv.Close()
	clients := runJSON(t, t.Context(), io.Discard, 0, "-url", srv.URL, "-bursts=1", "-burst-size=5", "-mix=0s")
	for name, f := range clients {
		if f.Requests != 5 || f.Errors != 5 {
			t.Errorf("%s: got %d requests and %d errors, want 5 and 5", name, f.Requests, f.Errors)
		}
		if f.P50 != nil {
			t.Errorf("%s: got p50 %v of no answer, want null", name, *f.P50)
		}
	}
}
