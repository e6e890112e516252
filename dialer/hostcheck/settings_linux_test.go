package hostcheck_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stayopen-go/stayopen/dialer/hostcheck"
)

// moves are parameters that change by themselves.
var moves = map[string]bool{"fs.file-nr": true, "net.netfilter.nf_conntrack_count": true}

func TestSettingsAreThoseOfTheKernel(t *testing.T) {
	s := read(t)
	for key, v := range s.All() {
		b, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(key, ".", "/"))
		if want := strings.Join(strings.Fields(string(b)), " "); v.Absent != os.IsNotExist(err) || v.Text != want && !moves[key] {
			t.Errorf("%s: got %+v, want %q, %v", key, v, want, err)
		}
	}
	if !strings.HasPrefix(s.Kernel, strings.SplitN(s.Kernel, ".", 2)[0]+".") || s.OS != "linux" || s.Files.Soft == 0 || s.Files.Hard < s.Files.Soft {
		t.Errorf("got %s on %s with %+v, want a release and limits", s.Kernel, s.OS, s.Files)
	}
	if v := s.Value("net.ipv4.no_such"); !v.Absent {
		t.Errorf("got %+v of a parameter that does not exist, want it absent", v)
	}
	if err := s.Override("f", strings.NewReader("net.ipv4.no_such = 1\nnet.ipv4.tcp_ecn = 1")); err != nil {
		t.Fatal(err)
	}
	if got := ids(hostcheck.Check(s, nil)); !strings.Contains(strings.Join(got, ","), "warning no-such-parameter") {
		t.Errorf("got %q, want one for the parameter that does not exist", got)
	}
	if v := s.Value("net.ipv4.tcp_ecn"); v.Absent || v.Text != "1" {
		t.Errorf("got %+v of one that exists and is not looked at, want 1", v)
	}
}
