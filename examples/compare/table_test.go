package main

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func value(v float64) *float64 { return &v }

func sampleReport() report {
	return report{
		options: options{bursts: 20, burstSize: 200, pause: 50 * time.Millisecond, mix: 5 * time.Second, rate: 2000, origins: 50},
		clients: []figures{
			{
				Name: "default", Requests: 14000, Errors: 3,
				Opened: count(5283), OpenedBursts: count(3849), Closed: count(5188),
				TimeWait: count(5051), TimeWaitBursts: count(3847), TimeWaitAfterClose: count(95),
				ServerTimeWait: count(0), ServerTimeWaitAfterClose: count(1),
				CPUMicros: value(131.44), P50Bursts: value(17.5), P99Bursts: value(33.6), P50Mix: value(4.3), P99Mix: value(1234.56),
				ClosesAvoided: count(8997),
			},
			{
				Name: "stayopen", Requests: 14000,
				Opened: count(326), OpenedBursts: count(200), Closed: count(0),
				TimeWait: count(0), TimeWaitBursts: count(0), TimeWaitAfterClose: count(2),
				ServerTimeWait: count(0), ServerTimeWaitAfterClose: count(324),
				CPUMicros: value(100), P50Bursts: value(8.7), P99Bursts: value(24.7), P50Mix: value(4.2), P99Mix: value(6.4),
				ClosesAvoided: count(13674),
			},
		},
	}
}

func render(t *testing.T, r report, colour bool) string {
	t.Helper()
	var b strings.Builder
	if err := r.writeTable(&b, colour); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTheTableShowsEveryFigureAligned(t *testing.T) {
	const want = `
20 bursts of 200 requests (50ms apart), then 10,000 requests at 2,000/s over 50 origins

                                default   stayopen
requests                         14,000     14,000
  failed                              3          0
connections opened                5,283        326
  of these in the bursts          3,849        200
connections closed by us          5,188          0
closes avoided                    8,997     13,674
TIME_WAIT, our side               5,051          0
  of these after the bursts       3,847          0
  added by Close()                   95          2
TIME_WAIT, server's side              0          0
  added by Close()                    1        324
CPU per request, µs               131.4      100.0
p50 in the bursts, ms              17.5        8.7
p99 in the bursts, ms              33.6       24.7
p50 in the mix, ms                  4.3        4.2
p99 in the mix, ms              1,234.6        6.4

In the bursts stayopen opened 1/19 of the connections of default: 200 for 4,000 requests.
stayopen left 0 TIME_WAITs on our side while it ran, default left 5,051.
`
	got := render(t, sampleReport(), false)
	if !strings.HasPrefix(got, want) {
		t.Errorf("got\n%s\nwant it to begin with\n%s", got, want)
	}
	for i, line := range strings.Split(got, "\n") {
		if len([]rune(line)) > 90 {
			t.Errorf("line %d has %d characters, want at most 90: %q", i, len([]rune(line)), line)
		}
	}
}

func TestWhatWasNotMeasuredIsNotZero(t *testing.T) {
	r := sampleReport()
	r.notMeasured = errNotMeasured
	for i := range r.clients {
		f := &r.clients[i]
		f.TimeWait, f.TimeWaitBursts, f.TimeWaitAfterClose, f.ServerTimeWait, f.ServerTimeWaitAfterClose = nil, nil, nil, nil, nil
		f.CPUMicros, f.Closed = nil, nil
	}
	got := render(t, r, false)
	if n := strings.Count(got, "n/a"); n != 7*2+1 {
		t.Errorf("got %d times n/a, want one for each of 14 figures and one to say why:\n%s", n, got)
	}
	if !strings.Contains(got, errNotMeasured.Error()) {
		t.Errorf("the table does not say why there are no TIME_WAITs:\n%s", got)
	}
	if strings.Contains(got, " left ") {
		t.Errorf("the summary speaks of TIME_WAITs that nobody counted:\n%s", got)
	}
}

func TestErrorsAndInterruptionsAreShown(t *testing.T) {
	r := sampleReport()
	r.firstErrors = []error{errors.New("default: connect: cannot assign requested address")}
	r.interrupted = true
	got := render(t, r, false)
	for _, want := range []string{"failed, for one: default: connect: cannot assign", "Interrupted"} {
		if !strings.Contains(got, want) {
			t.Errorf("the table does not say %q:\n%s", want, got)
		}
	}
	if got := render(t, r, false); strings.Contains(got, " left ") {
		t.Errorf("the summary compares clients that got different loads:\n%s", got)
	}
	r.interrupted = false
	r.clients = r.clients[:1]
	if got := render(t, r, false); strings.Contains(got, " left ") {
		t.Errorf("the summary compares one client with itself:\n%s", got)
	}
	r.clients = nil
	render(t, r, false)
}

func TestColourIsOnlyColour(t *testing.T) {
	plain, coloured := render(t, sampleReport(), false), render(t, sampleReport(), true)
	if strings.Contains(plain, "\x1b") {
		t.Errorf("without colour there are escapes: %q", plain)
	}
	if coloured == plain {
		t.Error("with colour there is none")
	}
	if got := strings.NewReplacer("\x1b[1m", "", "\x1b[32m", "", "\x1b[0m", "").Replace(coloured); got != plain {
		t.Errorf("without its escapes the coloured table is\n%s\nwant\n%s", got, plain)
	}
}

func TestShareIsComputedFromTheRun(t *testing.T) {
	for _, tc := range []struct {
		part, whole int
		want        string
	}{
		{200, 3962, "1/20 of the connections of default"},
		{200, 400, "1/2 of the connections of default"},
		{200, 250, "0.80 times the connections of default"},
		{200, 200, "as many connections as default"},
		{250, 200, "1.25 times the connections of default"},
		{0, 200, "0 connections where default opened 200"},
		{1, 0, "1 connection where default opened 0"},
		{2000, 0, "2,000 connections where default opened 0"},
	} {
		if got := share(tc.part, tc.whole, "default"); got != tc.want {
			t.Errorf("share(%d, %d): got %q, want %q", tc.part, tc.whole, got, tc.want)
		}
	}
}

func TestOneIsNotPlural(t *testing.T) {
	o := options{bursts: 1, burstSize: 1, mix: time.Second, rate: 1, origins: 1}
	if got, want := o.describe(), "1 burst of 1 request (0s apart), then 1 request at 1/s over 1 origin"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNumbersAreGroupedByThousands(t *testing.T) {
	for n, want := range map[int]string{
		0: "0", 7: "7", 999: "999", 1000: "1,000", 12345: "12,345", 1234567: "1,234,567", -100: "-100", -1000: "-1,000",
	} {
		if got := grouped(n); got != want {
			t.Errorf("grouped(%d): got %q, want %q", n, got, want)
		}
	}
}
