package checks

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// forbidden says for a room which packages it must not reach, directly or
// through others: the rooms above and beside it, so that each can be understood
// and used alone, and HTTP, which only transport speaks.
var forbidden = map[string]func(pkg string) bool{
	"pool": func(pkg string) bool { return inRoom(pkg, "dialer", "transport") || isHTTP(pkg) },
	"dialer": func(pkg string) bool {
		return inRoom(pkg, "pool", "transport") || isHTTP(pkg) && pkg != "net/http/httptrace"
	},
}

func inRoom(pkg string, names ...string) bool {
	below, ok := strings.CutPrefix(pkg, module+"/")
	room, _, _ := strings.Cut(below, "/")
	return ok && slices.Contains(names, room)
}

func isHTTP(pkg string) bool { return pkg == "net/http" || strings.HasPrefix(pkg, "net/http/") }

func TestImportsRunOneWay(t *testing.T) {
	for _, system := range []string{"linux", "darwin", "windows", "freebsd"} {
		for room, bad := range forbidden {
			for _, pkg := range dependencies(t, system, room) {
				if bad(pkg) {
					t.Errorf("on %s, %s reaches %s: imports run from transport to pool and dialer, never back or sideways, and only transport speaks HTTP", system, room, pkg)
				}
			}
		}
	}
}

func TestForbiddenImportsAreRecognized(t *testing.T) {
	for _, test := range []struct {
		room, pkg string
		want      bool
	}{
		{"pool", "net", false},
		{"pool", "net/http", true},
		{"pool", "net/http/httptrace", true},
		{"pool", module + "/dialer", true},
		{"pool", module + "/transport/internal/lean", true},
		{"pool", module + "/pool/internal/list", false},
		{"dialer", "net/http/httptrace", false},
		{"dialer", "net/http", true},
		{"dialer", module + "/pool", true},
		{"dialer", module + "/internal/sockopt", false},
	} {
		if got := forbidden[test.room](test.pkg); got != test.want {
			t.Errorf("may %s not import %s: got %v, want %v", test.room, test.pkg, got, test.want)
		}
	}
}

// dependencies lists what the room's code reaches when built for the system,
// tests left out.
func dependencies(t *testing.T, system, room string) []string {
	t.Helper()
	packages := strings.Fields(goList(t, []string{"GOOS=" + system, "CGO_ENABLED=0"}, "-deps", "./"+room+"/..."))
	if !slices.Contains(packages, module+"/"+room) {
		t.Fatalf("on %s, go list found no package %s: got %q", system, room, packages)
	}
	return packages
}

// goList runs go list in the root with these additions to the environment.
func goList(t *testing.T, env []string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), env...)
	var failure strings.Builder
	cmd.Stderr = &failure
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %s: %v\n%s", strings.Join(args, " "), err, failure.String())
	}
	return string(out)
}
