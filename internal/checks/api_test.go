package checks

import (
	"flag"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

var (
	update   = flag.Bool("update", false, "write the exported API into the folder api instead of comparing it")
	platform = flag.String("platform", runtime.GOOS+"/"+runtime.GOARCH, "the GOOS/GOARCH whose exported API is compared")
)

// TestExportedAPIChangesOnPurposeOnly compares what users can name, as the
// compiler sees it, with the listings in the folder api. They are the same for
// every system; the flag -platform names the one to look at.
func TestExportedAPIChangesOnPurposeOnly(t *testing.T) {
	load := exportData(t, *platform)
	for _, room := range published {
		t.Run(room, func(t *testing.T) {
			pkg, err := load(module + "/" + room)
			if err != nil {
				t.Fatal(err)
			}
			got := listing(pkg)
			name := filepath.Join("api", strings.ReplaceAll(room, "/", "-")+".txt")
			if *update {
				text := strings.Join(got, "\n") + "\n"
				if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			want := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
			if changes := difference(want, got); len(changes) > 0 {
				t.Errorf("on %s the exported API of %s is not the one in internal/checks/%s (- gone, + new):\n%s\nIf that is meant, mention it in CHANGELOG.md and run\n\tgo test ./internal/checks -run TestExportedAPI -update", *platform, room, name, strings.Join(changes, "\n"))
			}
		})
	}
}

func TestDifferenceNamesWhatIsGoneAndWhatIsNew(t *testing.T) {
	got := difference([]string{"a", "b", "c"}, []string{"b", "c", "d"})
	if want := []string{"- a", "+ d"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := difference([]string{"a"}, []string{"a"}); got != nil {
		t.Errorf("of equal lists: got %q, want none", got)
	}
}

// difference lists what is in want only, marked -, and then what is in got
// only, marked +.
func difference(want, got []string) []string {
	var lines []string
	for _, line := range want {
		if !slices.Contains(got, line) {
			lines = append(lines, "- "+line)
		}
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			lines = append(lines, "+ "+line)
		}
	}
	return lines
}

// exportData returns a function that loads a package from what the compiler
// wrote about it when it built the rooms for the platform.
func exportData(t *testing.T, platform string) func(path string) (*types.Package, error) {
	t.Helper()
	system, arch, ok := strings.Cut(platform, "/")
	if !ok {
		t.Fatalf("-platform: got %q, want GOOS/GOARCH", platform)
	}
	args := []string{"-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}"}
	for _, room := range published {
		args = append(args, "./"+room)
	}
	written := map[string]string{}
	for line := range strings.Lines(goList(t, []string{"GOOS=" + system, "GOARCH=" + arch, "CGO_ENABLED=0"}, args...)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), "\t")
		written[path] = file
	}
	return importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(written[path])
	}).Import
}
