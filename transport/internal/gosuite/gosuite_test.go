package gosuite

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/internal/checks/mustrun"
)

// required are the files whose tests have to pass with every change.
const required = "net/http/client_test.go,net/http/clientserver_test.go"

// wide is what more of Go's suite a client takes part in.
const wide = required +
	",net/http/transport_test.go,net/http/transport_dial_test.go,net/http/serve_test.go" +
	",net/http/responsecontroller_test.go,net/http/sniff_test.go,net/http/fs_test.go" +
	",net/http/httputil/reverseproxy_test.go,net/http/httputil/dump_test.go" +
	",net/http/httptest/server_test.go,net/http/cookiejar/jar_test.go"

var (
	suiteFlag  = flag.String("suite", "required", `test files to run, such as net/http/transport_test.go, with commas between; "required" or "wide" for the lists in this test`)
	onlyFlag   = flag.String("only", "", "run only the tests whose name matches this regular expression")
	limitFlag  = flag.Duration("limit", time.Minute, "time limit for one test")
	workFlag   = flag.Int("workers", 2, "how many tests run at a time")
	reportFlag = flag.String("report", "", "write the results to this file as a table")
	updateFlag = flag.Bool("update", false, "write what cannot be compiled to LEFTOUT.md; only with -suite wide")
)

func TestGosOwnClientTestsPassOverStayopen(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles net/http's tests and runs some hundred processes")
	}
	list := *suiteFlag
	switch list {
	case "required":
		list = required
	case "wide":
		list = wide
	}
	suites, err := ParseSuites(list)
	if err != nil {
		t.Fatal(err)
	}
	w, err := Open(t.Context(), t.TempDir(), raceEnabled)
	if errors.Is(err, ErrNoSource) {
		mustrun.Skipf(t, "%v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	known, err := ReadList("LEFTOUT.md")
	if err != nil {
		t.Fatal(err)
	}
	compare := Comparison{
		Only:    regexp.MustCompile(*onlyFlag),
		Differs: func(c *Case) bool { return known.Difference(c, w.Version()) != nil },
		Workers: *workFlag,
		Limit:   *limitFlag,
	}
	// All are built before any is run: what does not compile is told at once.
	var r report
	var binaries []*Binary
	for _, s := range suites {
		b, err := w.Build(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		binaries = append(binaries, b)
		r.leftOut = append(r.leftOut, b.LeftOut...)
	}
	for _, b := range binaries {
		cases, err := compare.Run(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		r.cases = append(r.cases, cases...)
	}
	if *reportFlag != "" {
		if err := os.WriteFile(*reportFlag, []byte(r.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if *updateFlag && list == wide {
		if err := WriteLeftOut("LEFTOUT.md", w.Version(), r.leftOut); err != nil {
			t.Fatal(err)
		}
		known.Version, known.LeftOut = w.Version(), r.leftOut
	}
	if known.Version == w.Version() {
		r.judgeLeftOut(t, suites, known.LeftOut)
	}
	r.judge(t, known, w.Version())
}

// A report is what came of a run.
type report struct {
	cases   []*Case
	leftOut []LeftOut
}

// judgeLeftOut holds what was left out of these suites against the list.
func (r *report) judgeLeftOut(t *testing.T, suites []Suite, listed []LeftOut) {
	t.Helper()
	want := slices.DeleteFunc(slices.Clone(listed), func(l LeftOut) bool {
		return !slices.ContainsFunc(suites, func(s Suite) bool {
			file, ok := strings.CutPrefix(l.File, s.Package+"/")
			return ok && slices.Contains(s.Files, file)
		})
	})
	for _, l := range r.leftOut {
		if !slices.Contains(want, l) {
			t.Errorf("%s %s is left out: got %q, want that in LEFTOUT.md; -update writes it there", l.File, l.Test, l.Why)
		}
	}
	for _, l := range want {
		if !slices.Contains(r.leftOut, l) {
			t.Errorf("%s %s: LEFTOUT.md says %q, but it is not left out for that; -update corrects it", l.File, l.Test, l.Why)
		}
	}
}

// judge makes a subtest of each case. Those that net/http does not pass are no
// measure of stayopen, and say so.
func (r *report) judge(t *testing.T, known *List, version string) {
	for _, l := range r.leftOut {
		t.Logf("left out: %s %s: %s", l.File, l.Test, l.Why)
	}
	passed, requests := 0, 0
	for _, c := range r.cases {
		t.Run(c.Package+"/"+c.Name(), func(t *testing.T) {
			difference := known.Difference(c, version)
			switch {
			case c.NetHTTP != Pass:
				t.Logf("left out: over net/http itself it does not pass here (%s): %s", c.NetHTTP, c.Why)
			case difference != nil && c.Stayopen == Pass && !difference.Sometimes:
				t.Errorf("over stayopen: got %s in each of %d attempts, want a failure as LEFTOUT.md has it (%s); take it off that list", c.Stayopen, c.Attempts, difference.Why)
			case difference != nil:
				t.Logf("left out: %s", difference.Why)
			case c.Stayopen != Pass:
				t.Errorf("over stayopen: got %s in %d attempts, want %s as over net/http\n%.10000s", c.Stayopen, c.Attempts, Pass, c.Output)
			default:
				passed++
				requests += c.Requests
				if c.Attempts > 1 {
					t.Logf("passed at attempt %d", c.Attempts)
				}
			}
		})
	}
	t.Logf("%s: over stayopen %d of %d cases pass, with %d requests", version, passed, len(r.cases), requests)
	if passed > 0 && requests == 0 {
		t.Error("got no request through stayopen, want some: the rewriting has missed them all")
	}
}

// String is the report as Markdown tables.
func (r *report) String() string {
	var s strings.Builder
	s.WriteString("| Package | Test | net/http | stayopen | attempts | requests | |\n|---|---|---|---|---|---|---|\n")
	for _, c := range r.cases {
		fmt.Fprintf(&s, "| %s | %s | %s | %s | %d | %d | %s |\n", c.Package, c.Name(), c.NetHTTP, c.Stayopen, c.Attempts, c.Requests, strings.ReplaceAll(c.Why, "|", "\\|"))
	}
	s.WriteString("\n| File | Test | left out since it |\n|---|---|---|\n")
	for _, l := range r.leftOut {
		fmt.Fprintf(&s, "| %s | %s | %s |\n", l.File, l.Test, l.Why)
	}
	return s.String()
}
