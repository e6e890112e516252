package main

import (
	"strings"
	"testing"
)

func sampleReport() report {
	return report{
		options: options{restarts: 30, workers: 1},
		modes: []figures{
			{Mode: handover, Restarts: 30, Requests: 1234567, Alone: 617283, Connections: 618000, Accepted: 618000, Seconds: 6.78},
			{Mode: drain, Restarts: 30, Requests: 20000, Alone: 9999, Failed: 3, Slow: 12, Connections: 10500, Accepted: 10497, Seconds: 7, FirstError: "connection reset by peer"},
		},
	}
}

func TestTheTableShowsEveryFigureAligned(t *testing.T) {
	const want = `
30 restarts under 1 worker

                                     handover      drain
requests                            1,234,567     20,000
  with a connection of their own      617,283      9,999
  failed                                    0          3
  answered after 0.9 s or more              0         12
connections opened by clients         618,000     10,500
  accepted by servers                 618,000     10,497
restarts                                   30         30
time, s                                   6.8        7.0

`
	var b strings.Builder
	if err := sampleReport().writeTable(&b); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); !strings.HasPrefix(got, want) {
		t.Errorf("got\n%s\nwant it to begin with\n%s", got, want)
	}
	if !strings.Contains(b.String(), "drain, failed for one: connection reset by peer") {
		t.Errorf("the table does not say what failed:\n%s", &b)
	}
}

func TestMoreFailuresThanAllowedEndWithCodeOne(t *testing.T) {
	for _, tc := range []struct {
		f    figures
		want int
	}{
		{figures{Mode: handover, Requests: 1_000_000}, 0},
		{figures{Mode: handover, Requests: 1_000_000, Failed: 1}, exitFailed},
		{figures{Mode: drain, Requests: 20_000, Failed: 2}, 0},
		{figures{Mode: drain, Requests: 20_000, Failed: 3}, exitFailed},
		{figures{Mode: drain, Requests: 9_999, Failed: 1}, exitFailed},
		{figures{Mode: justClose, Requests: 100, Failed: 50}, 0},
	} {
		var stdout, stderr strings.Builder
		if got := (report{modes: []figures{tc.f}}).finish(&stdout, &stderr); got != tc.want {
			t.Errorf("%+v: got exit code %d, want %d; stderr %q", tc.f, got, tc.want, &stderr)
		}
	}
	var stdout, stderr strings.Builder
	if got := (report{interrupted: true}).finish(&stdout, &stderr); got != exitInterrupted || !strings.Contains(stdout.String(), "Interrupted") {
		t.Errorf("interrupted: got exit code %d and %q, want %d and a word on it", got, &stdout, exitInterrupted)
	}
}
