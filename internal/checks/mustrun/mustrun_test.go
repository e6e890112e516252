package mustrun

import (
	"fmt"
	"testing"
)

// recorder is a testing.TB that notes how a test ended instead of ending it.
type recorder struct {
	testing.TB
	ended string
}

func (r *recorder) Helper() {}

func (r *recorder) Skipf(format string, args ...any) {
	r.end("skipped: " + fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.end("failed: " + fmt.Sprintf(format, args...))
}

func (r *recorder) end(how string) {
	if r.ended == "" {
		r.ended = how
	}
}

func TestSkipfFailsOnlyWhereEverythingMustRun(t *testing.T) {
	for _, test := range []struct{ env, want string }{
		{"", "skipped: no ip in PATH"},
		{"1", "failed: STAYOPEN_MUST_RUN is set, but no ip in PATH"},
	} {
		t.Setenv(Env, test.env)
		var r recorder
		Skipf(&r, "no %s in PATH", "ip")
		if r.ended != test.want {
			t.Errorf("with %s=%q: got %q, want %q", Env, test.env, r.ended, test.want)
		}
	}
}
