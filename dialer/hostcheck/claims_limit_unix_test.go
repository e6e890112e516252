//go:build unix

package hostcheck_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestGoRaisesTheSoftLimitOfFiles(t *testing.T) {
	if os.Getenv("ROLE") == "limited" {
		if got := read(t).Files; got.Soft < 499 || got.Hard != 500 {
			t.Errorf("started with 200 of 500 files: got %+v, want a soft limit of 500 or one less", got)
		}
		return
	}
	cmd := exec.Command("sh", "-c", `ulimit -Sn 200 && ulimit -Hn 500 && exec "$0" "$@"`, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "ROLE=limited")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("got %v, want a pass:\n%s", err, out)
	}
}
