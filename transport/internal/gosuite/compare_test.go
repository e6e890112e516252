package gosuite

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/transport/internal/gosuite/adapter"
)

// TestProbe is a test to be run by TestCasesAreComparedOverBothTransports, which
// uses this test binary as if it were that of a suite. Run by anybody else, it
// has nothing to say.
func TestProbe(t *testing.T) {
	over := os.Getenv(adapter.Variable)
	if over == "" {
		return
	}
	for mode, pass := range map[string]bool{"h1": true, "https1": over == adapter.Stayopen, "h2": over == adapter.NetHTTP} {
		t.Run(mode, func(t *testing.T) {
			if !pass {
				t.Errorf("fails over %s", over)
			}
		})
	}
}

// TestProbeHangs is TestProbe's sister that does not end.
func TestProbeHangs(t *testing.T) {
	if os.Getenv(adapter.Variable) == adapter.Stayopen {
		select {}
	}
}

// probes are the cases of both, by name.
func probes(t *testing.T, differs func(*Case) bool, tests ...string) map[string]*Case {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b := &Binary{Suite: Suite{Package: "probe"}, Tests: tests, file: exe, workDir: t.TempDir()}
	cases, err := Comparison{Differs: differs, Workers: 2, Limit: time.Minute}.Run(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	byName := make(map[string]*Case)
	for _, c := range cases {
		byName[c.Name()] = c
	}
	return byName
}

func TestCasesAreComparedOverBothTransports(t *testing.T) {
	cases := probes(t, nil, "TestProbe")
	for name, want := range map[string]Case{
		"TestProbe/h1":     {NetHTTP: Pass, Stayopen: Pass, Attempts: 1},
		"TestProbe/https1": {NetHTTP: Fail, Stayopen: None, Attempts: 0},
		"TestProbe/h2":     {NetHTTP: Pass, Stayopen: Fail, Attempts: attempts},
	} {
		c := cases[name]
		if c == nil {
			t.Errorf("%s: got no case, want one", name)
			continue
		}
		if c.NetHTTP != want.NetHTTP || c.Stayopen != want.Stayopen || c.Attempts != want.Attempts {
			t.Errorf("%s: got net/http %q, stayopen %q in %d attempts, want %q, %q, %d", name, c.NetHTTP, c.Stayopen, c.Attempts, want.NetHTTP, want.Stayopen, want.Attempts)
		}
	}
	if c := cases["TestProbe/h2"]; c != nil && !strings.Contains(c.Why, "fails over stayopen") {
		t.Errorf("got the reason %q, want the test's own words", c.Why)
	}
}

func TestACaseThatIsKnownToDifferGetsAttemptsToFail(t *testing.T) {
	cases := probes(t, func(*Case) bool { return true }, "TestProbe")
	if c := cases["TestProbe/h1"]; c.Stayopen != Pass || c.Attempts != attempts {
		t.Errorf("one that passes: got %s in %d attempts, want %s in %d", c.Stayopen, c.Attempts, Pass, attempts)
	}
	if c := cases["TestProbe/h2"]; c.Stayopen != Fail || c.Attempts != 1 {
		t.Errorf("one that fails: got %s in %d attempts, want %s in 1", c.Stayopen, c.Attempts, Fail)
	}
}

func TestAHangIsAFailureThatShowsTheGoroutines(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for the time limit")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b := &Binary{Tests: []string{"TestProbeHangs"}, file: exe, workDir: t.TempDir()}
	o, err := b.Run(t.Context(), adapter.Stayopen, "TestProbeHangs", "", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if got := o.Of("TestProbeHangs"); got != Fail || !strings.Contains(o.Output, "TestProbeHangs(") {
		t.Errorf("got %s, want %s with the goroutines' stacks\n%s", got, Fail, o.Output)
	}
}
