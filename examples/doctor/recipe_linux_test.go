package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stayopen-go/stayopen/dialer/hostcheck"
	"github.com/stayopen-go/stayopen/internal/netlab"
)

// recipe is what circulates, but for what the namespace is set to.
const recipe = `# Tuning for high load, found on the internet
net.ipv4.tcp_tw_recycle = 1
net.ipv4.tcp_fin_timeout = 30
net.ipv4.tcp_max_tw_buckets = 5000
net.ipv4.ip_local_port_range = 1024 65000
`

// inLab runs the test in a namespace of its own. It reports whether this process
// is the one in there.
func inLab(t *testing.T, set func(lab *netlab.Lab)) bool {
	t.Helper()
	if netlab.Inside() {
		return true
	}
	lab := netlab.New(t)
	set(lab)
	lab.Rerun(t, lab.Client)
	return false
}

func recipeFile(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "recipe.conf")
	if err := os.WriteFile(name, []byte(recipe), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// diagnose runs doctor for programs.
func diagnose(t *testing.T, status int, args ...string) reportOut {
	t.Helper()
	var stdout, stderr strings.Builder
	if got := run(t.Context(), append(args, "-json"), &stdout, &stderr); got != status || stderr.Len() > 0 {
		t.Errorf("doctor %q: got status %d and %q, want %d", args, got, stderr.String(), status)
	}
	var r reportOut
	dec := json.NewDecoder(strings.NewReader(stdout.String()))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		t.Fatalf("got %s: %v", stdout.String(), err)
	}
	return r
}

// reportOut is the schema as the package's comment has it, written again so that
// a change of it is seen.
type reportOut struct {
	Time, OS, Kernel, Worst string
	Findings                []struct {
		ID, Severity, Key, Set, File, Effect, Change, Recipe, Wrong string
		Line                                                        int
	}
	Settings []struct {
		Key, Value, File string
		Line             int
		Absent           bool
	}
	Files  struct{ Soft, Hard uint64 }
	Census *struct {
		From, Fallback string
		TookMillis     float64 `json:"took_ms"`
		Total          int
		States         map[string]int
		Destinations   []struct {
			Address  string
			Accepted bool
			Total    int
			States   map[string]int
			Sources  map[string]struct {
				InUse     int `json:"in_use"`
				TimeWaits int `json:"time_waits"`
			}
		}
		LeftOut int `json:"left_out"`
		Summary map[string]int
	}
	CensusError string `json:"census_error"`
}

// finding is the one about the key that is no good.
func (r reportOut) wrong(t *testing.T, id string) (severity, says, file string) {
	t.Helper()
	for _, f := range r.Findings {
		if f.ID == id && f.Severity != "good" {
			return f.Severity, fmt.Sprint(f.Effect, " ", f.Change, " ", f.Recipe, ": ", f.Wrong), fmt.Sprintf("%s:%d", filepath.Base(f.File), f.Line)
		}
	}
	t.Errorf("got no finding %s, want one that is not good", id)
	return "", "", ""
}

func TestEveryPointOfTheClassicRecipeIsFound(t *testing.T) {
	if !inLab(t, func(lab *netlab.Lab) {
		lab.Sysctl(lab.Client, "net.ipv4.tcp_tw_reuse", "1")
		lab.Sysctl(lab.Client, "net.ipv4.tcp_timestamps", "0")
		lab.Sysctl(lab.Client, "net.ipv4.tcp_syncookies", "0")
		lab.Sysctl(lab.Client, "net.core.somaxconn", "128")
	}) {
		return
	}
	listen(t, "198.18.0.1:8080")
	listen(t, "127.0.0.1:3306")
	r := diagnose(t, exitError, "-sysctl", recipeFile(t))
	if r.Worst != "error" || r.OS != "linux" || r.Time == "" || len(r.Settings) < 20 {
		t.Errorf("got a report on %s at %q whose worst is %s, with %d settings", r.OS, r.Time, r.Worst, len(r.Settings))
	}
	for id, want := range map[string]struct{ severity, says, file string }{
		"tw-recycle":          {"warning", "no such parameter since 4.12", "recipe.conf:2"},
		"fin-timeout":         {"warning", "nothing to do with TIME_WAIT", "recipe.conf:3"},
		"tw-buckets":          {"warning", "fewer than the 63977 local ports", "recipe.conf:4"},
		"port-range-services": {"error", "Something listens on 3306, 8080 now. begin it with 32768, or set net.ipv4.ip_local_reserved_ports = 3306,8080", "recipe.conf:5"},
		"tw-reuse":            {"warning", "without timestamps (net.ipv4.tcp_timestamps is 0) no TIME_WAIT is ever taken over", ".:0"},
		"timestamps":          {"warning", "No TIME_WAIT is ever taken over", ".:0"},
		"syncookies":          {"warning", "SYNs are dropped", ".:0"},
		"somaxconn":           {"warning", "at most 128", ".:0"},
	} {
		severity, says, file := r.wrong(t, id)
		if severity != want.severity || !strings.Contains(says, want.says) || file != want.file {
			t.Errorf("%s: got %s at %s: %s; want %s at %s that says %q", id, severity, file, says, want.severity, want.file, want.says)
		}
	}
}

func TestTheSameIsFoundWhereTheRecipeIsApplied(t *testing.T) {
	if !inLab(t, func(lab *netlab.Lab) {
		lab.Sysctl(lab.Client, "net.ipv4.tcp_fin_timeout", "30")
		lab.Sysctl(lab.Client, "net.ipv4.tcp_max_tw_buckets", "5000")
		lab.Sysctl(lab.Client, "net.ipv4.ip_local_port_range", "1024 65000")
	}) {
		return
	}
	listen(t, "198.18.0.1:8080")
	r := diagnose(t, exitError)
	for _, id := range []string{"fin-timeout", "tw-buckets", "port-range-services"} {
		if _, _, file := r.wrong(t, id); file != ".:0" {
			t.Errorf("%s: got it from %s, want it from the kernel", id, file)
		}
	}
}

func TestTheTableCountsWhatThereIs(t *testing.T) {
	if !inLab(t, func(*netlab.Lab) {}) {
		return
	}
	l := listen(t, "198.18.0.1:8080")
	for i := range 3 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if i > 0 { // two of the three end in TIME_WAIT on the dialing side
			c.Close()
			io.ReadAll(s)
			s.Close()
		}
	}
	netlab.Await(t, "two TIME_WAITs", func() bool {
		c, err := hostcheck.Take(t.Context(), hostcheck.Filter{})
		return err == nil && c.Total(hostcheck.TimeWait) == 2 && c.Total() == 5
	})
	r := diagnose(t, 0)
	if c := r.Census; c.From != "sock_diag" || c.Total != 5 || c.States["LISTEN"] != 1 || c.States["ESTABLISHED"] != 2 || c.LeftOut != 0 || c.Summary["time_waits"] != 2 {
		t.Errorf("got %+v, want 1 that listens, 2 established and 2 in TIME_WAIT", c)
	}
	if d := r.Census.Destinations[0]; d.Address != "198.18.0.1:8080" || d.Accepted || d.Total != 3 || d.Sources["198.18.0.1"].InUse != 3 || d.Sources["198.18.0.1"].TimeWaits != 2 {
		t.Errorf("got %+v, want 3 ports to the server, 2 in TIME_WAIT", d)
	}
	if r := diagnose(t, 0, "-top", "1"); len(r.Census.Destinations) != 1 || r.Census.LeftOut != 1 {
		t.Errorf("-top 1: got %d destinations and %d left out, want 1 and 1", len(r.Census.Destinations), r.Census.LeftOut)
	}
	var stdout, stderr strings.Builder
	run(context.Background(), nil, &stdout, &stderr)
	for _, want := range []string{
		"TCP sockets          ESTAB  TIME_WAIT  CLOSE_WAIT  FIN_WAIT    SYN  other   ports\n",
		"to 198.18.0.1:8080       1          2           -         -      -      -   0.0 %\n",
		"in 198.18.0.1:8080       1          -           -         -      -      -        \n",
		"all; 1 listen            2          2           0         0      0      0\n",
	} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("got\n%s\nwant the line %q in it", stdout.String(), want)
		}
	}
	if strings.Contains(stdout.String(), "\x1b") {
		t.Errorf("got escapes in %q, want none: it is no terminal", stdout.String())
	}
}
