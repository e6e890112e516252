package main

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

func runDemoWith(t *testing.T, ctx context.Context, args ...string) *report {
	t.Helper()
	o, err := parseOptions(append([]string{"-demo"}, args...))
	if err != nil {
		t.Fatal(err)
	}
	r, err := o.runDemo(ctx, newLogger(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTheDemosFiguresAgreeAndDefaultTransportOpensMore(t *testing.T) {
	r := runDemoWith(t, t.Context(), "-compare", "-demo-requests=2000", "-demo-clients=48")
	if len(r.runs) != 2 {
		t.Fatalf("got %d runs, want 2", len(r.runs))
	}
	for _, o := range r.runs {
		if d := o.disagreements(); len(d) > 0 {
			t.Errorf("the figures disagree: %q", d)
		}
		if o.Requests != 2000 || o.Demo.Failed != 0 || o.Demo.Answers != 2000 || o.Failed != 0 {
			t.Errorf("%s: got %+v, %+v, want 2000 requests, none failed", o.Name, o.counts, o.Demo)
		}
	}
	def, own := r.runs[0].Demo, r.runs[1].Demo
	if def.Opened < 2*own.Opened || own.Avoided <= def.Avoided {
		t.Errorf("default opened %d connections and stayopen %d, want far fewer", def.Opened, own.Opened)
	}
	if own.Opened > 150 { // 48 at a time, rarely as many for each upstream
		t.Errorf("got %d connections, want about as many as there were requests at a time", own.Opened)
	}
}

func TestTheDemoPrintsItsSummaryAsATableOrAsJSON(t *testing.T) {
	args := []string{"-demo", "-demo-requests=100", "-demo-upstreams=2", "-health=/pages/0"}
	var stdout, stderr strings.Builder
	if code := run(t.Context(), args, &stdout, &stderr); code != 0 {
		t.Fatalf("got exit code %d, want 0:\n%s", code, &stderr)
	}
	for _, want := range []string{"stayopen: 2 upstreams", "requests                              100\n", "closes avoided", "http://127.0.0.1:"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("the table does not say %q:\n%s", want, &stdout)
		}
	}
	if !strings.Contains(stderr.String(), "100 requests") || strings.Contains(stderr.String(), "\x1b") {
		t.Errorf("progress: got %q, want the last line, without escapes", &stderr)
	}
	stdout.Reset()
	if code := run(t.Context(), append(args, "-json"), &stdout, io.Discard); code != 0 {
		t.Fatalf("got exit code %d, want 0", code)
	}
	var got struct{ Runs []outcome }
	if err := json.Unmarshal([]byte(stdout.String()), &got); err != nil {
		t.Fatalf("stdout is not one JSON value: %v:\n%s", err, &stdout)
	}
	if o := got.Runs[0]; o.Requests != 100 || o.Checks < 2 || int64(o.Stats.Exchanges) != 100+o.Checks || o.Demo == nil || len(o.Upstreams) != 2 {
		t.Errorf("got %+v, want 100 requests of 2 upstreams, and the checks", o)
	}
}

func TestADemoThatIsInterruptedPrintsWhatThereIs(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := runDemoWith(t, ctx); !r.interrupted || r.exitCode(io.Discard) != exitInterrupted {
		t.Errorf("got %+v, want an interrupted run", r)
	}
}

func TestWhatWentWrongIsInTheExitCode(t *testing.T) {
	good := outcome{counts: counts{Requests: 5, Failed: 1, UpgradesCut: 3}, Demo: &truth{Requests: 5, Failed: 1}}
	cut, differs := good, good
	cut.Cut = 1
	differs.Demo = &truth{Requests: 6, Failed: 1}
	for _, tc := range []struct {
		o    outcome
		code int
		says string
	}{{good, 0, ""}, {cut, exitFailed, "1 request cut off"}, {differs, exitFailed, "requests: "}} {
		var stderr strings.Builder
		if got := (&report{runs: []outcome{tc.o}}).exitCode(&stderr); got != tc.code || !strings.Contains(stderr.String(), tc.says) {
			t.Errorf("%+v: got %d and %q, want %d and %q", tc.o, got, &stderr, tc.code, tc.says)
		}
	}
}

func TestTheProgressLineFitsIntoATerminal(t *testing.T) {
	r := startProxy(t, "-upstream=http://a", "-upstream=http://b")
	r.proxy.requests.received.Add(123_456_789)
	r.proxy.requests.failed.Add(1234)
	r.proxy.requests.running.Add(1234)
	line := r.line()
	r.proxy.requests.running.Add(-1234)
	if n := utf8.RuneCountInString(line); n > 80 || !strings.Contains(line, "2/2 up") {
		t.Errorf("got %d columns, want at most 80: %q", n, line)
	}
}
