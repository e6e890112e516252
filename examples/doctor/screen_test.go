package main

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/dialer/hostcheck"
	"github.com/stayopen-go/stayopen/internal/checks/mustrun"
)

// sample is a report with a finding and a table.
func sample() *report {
	dst := netip.MustParseAddrPort("[2001:db8::1234:5678:9abc:def0]:443")
	return &report{
		at:       time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		settings: &hostcheck.Settings{OS: "linux", Kernel: "6.18"},
		census: &hostcheck.Census{From: "sock_diag", Counts: map[hostcheck.Group]int{
			{State: hostcheck.TimeWait, Local: netip.MustParseAddrPort("[2001:db8::1]:0"), Remote: dst}: 1234,
		}},
		findings: []hostcheck.Finding{
			{ID: "a", Severity: hostcheck.Error, Key: "net.a", Set: "1\x1b]0;title\a", File: "f", Line: 3, Effect: "It breaks.", Change: "set 0", Recipe: "a = 1", Wrong: "it breaks"},
			{ID: "c", Severity: hostcheck.Note, Key: "file", Set: "not judged: c.d, e", File: "f", Effect: "Who knows.", Change: "nothing"},
			{ID: "b", Severity: hostcheck.Good, Key: "net.b", Set: "2", Effect: "Fine.", Change: "nothing"},
		},
	}
}

func noPaint(_ style, s string) string { return s }

func TestAReportSaysWhatIsWrongAndHidesWhatIsGood(t *testing.T) {
	got := sample().text(options{top: 5}, 80, unlimited, noPaint)
	for _, want := range []string{
		"linux 6.18, 2026-01-02 03:04:05\n",
		"ERROR    net.a = 1?]0;title?  (f:3)\n         It breaks.\n         Change: set 0.\n         Wrong recipe: \"a = 1\": it breaks.\n",
		"NOTE     not judged: c.d, e  (f)\n",
		"1 setting is good (-all shows them).\n",
		"to [2001:db8::1234:5678:9abc:def0]:443      -      1,234 ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwant %q in it", got, want)
		}
	}
	if all := sample().text(options{all: true}, 80, unlimited, noPaint); !strings.Contains(all, "GOOD     net.b = 2\n         Fine.\n         Change: nothing.\n") {
		t.Errorf("-all: got\n%s\nwant what is good", all)
	}
	if narrow := sample().text(options{top: 5}, 80, 80, noPaint); !strings.Contains(narrow, "to [2001:db…f0]:443") {
		t.Errorf("in 80 columns: got\n%s\nwant the middle of the address left out", narrow)
	}
}

func TestWithoutACensusTheReportSaysWhy(t *testing.T) {
	r := sample()
	r.census, r.noCensus = nil, errors.New("not on this system")
	if got := r.text(options{}, 80, unlimited, noPaint); !strings.Contains(got, "no table of sockets: not on this system") {
		t.Errorf("got\n%s\nwant the reason", got)
	}
	var b strings.Builder
	if err := r.writeJSON(&b, 0, true); err != nil || !strings.Contains(b.String(), `"census_error":"not on this system"`) || strings.Contains(b.String(), `"census":`) {
		t.Errorf("got %s, %v, want the reason and no census", b.String(), err)
	}
}

func TestWatchingRefreshesInPlaceOnATerminal(t *testing.T) {
	var b strings.Builder
	s := &screen{w: &b, terminal: true, paint: newPainter(true)}
	for range 2 {
		if err := s.refresh(options{watch: time.Second, top: 5}, sample()); err != nil {
			t.Fatal(err)
		}
	}
	s.leave()
	got := b.String()
	if n := strings.Count(got, clearScreen); n != 1 || strings.Count(got, home) != 2 || strings.Count(got, clearBelow) != 2 {
		t.Errorf("got %q, want the screen cleared once and written over the second time", got)
	}
	if strings.Count(got, hideCursor) != 1 || !strings.HasSuffix(got, showCursor) {
		t.Errorf("got %q, want the cursor hidden, and shown at the end", got)
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(got, clearBelow+showCursor), "\r\n") {
		if plain := visible(line); len([]rune(plain)) > usualWidth {
			t.Errorf("got a line of %d characters, %q, want at most %d", len([]rune(plain)), plain, usualWidth)
		}
	}
}

// visible is what a terminal shows of a line.
func visible(line string) string {
	for _, code := range []string{hideCursor, showCursor, clearScreen, home, clearLine, clearBelow, string(bold), string(red), string(green), string(yellow), string(cyan), "\x1b[0m"} {
		line = strings.ReplaceAll(line, code, "")
	}
	return line
}

func TestWatchingIsOneReportAfterTheOtherElsewhere(t *testing.T) {
	var b strings.Builder
	s := &screen{w: &b, paint: noPaint}
	for range 2 {
		s.refresh(options{watch: time.Second}, sample())
	}
	s.leave()
	if n := strings.Count(b.String(), "linux 6.18"); n != 2 || strings.Contains(b.String(), "\x1b") {
		t.Errorf("got %q, want two reports without escapes", b.String())
	}
}

func TestWhatDoesNotFitIsLeftOutAndCounted(t *testing.T) {
	got := fit([]string{"a", "b", "c", "d"}, 3)
	if strings.Join(got, ",") != "a,b,and 2 more lines" {
		t.Errorf("got %q, want a, b and the number of the others", got)
	}
	if got := clip("\x1b[31mredder\x1b[0m than", 3); got != "\x1b[31mred\x1b[0m" {
		t.Errorf("got %q, want three characters, and the end of the colour", got)
	}
}

func TestAReportThatCannotBePrintedIsAFailure(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w.Close()
	var stderr strings.Builder
	if code := run(t.Context(), nil, w, &stderr); code != exitFailed || stderr.Len() == 0 {
		t.Errorf("got status %d and %q, want %d and the reason", code, stderr.String(), exitFailed)
	}
}

func TestNoColorIsObeyed(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // a character device, as a terminal is
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if !isTerminal(null) {
		mustrun.Skipf(t, "the null device does not pass for a terminal here")
	}
	for _, test := range []struct {
		noColor, term string
		w             io.Writer
		want          bool
	}{
		{"", "xterm", null, true},
		{"1", "xterm", null, false},
		{"", "dumb", null, false},
		{"", "xterm", &strings.Builder{}, false},
	} {
		t.Setenv("NO_COLOR", test.noColor)
		t.Setenv("TERM", test.term)
		if got := wantsColour(test.w); got != test.want {
			t.Errorf("NO_COLOR=%q TERM=%q %T: got colours: %v, want %v", test.noColor, test.term, test.w, got, test.want)
		}
	}
}
