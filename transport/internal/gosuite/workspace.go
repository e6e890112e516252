package gosuite

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ErrNoSource says that the Go installation came without the tests of its
// standard library, as some distributions' packages do.
var ErrNoSource = errors.New("gosuite: GOROOT has no test files of net/http")

// A Workspace knows the Go installation whose tests are run, and where this
// module is. What it builds goes to a directory outside of both.
type Workspace struct {
	goroot  string
	version string // such as "go1.26.8"
	dir     string // for everything that is written
	self    string // import path of this package
	selfDir string
	race    bool

	// What the go command is to see below selfDir though it is not there.
	overlay map[string]string
}

// Open asks the go command in $PATH about itself and about the module around
// the current directory, which must be this package's own, as it is in its
// tests. dir is an empty directory for what will be built; with race, test
// binaries carry the race detector. The error is ErrNoSource where GOROOT holds
// no tests.
func Open(ctx context.Context, dir string, race bool) (*Workspace, error) {
	w := &Workspace{dir: dir, race: race, overlay: make(map[string]string)}
	out, err := w.goCommand(ctx, "env", "GOROOT", "GOVERSION")
	if err != nil {
		return nil, err
	}
	env := strings.Split(strings.TrimSpace(out), "\n")
	if len(env) != 2 {
		return nil, fmt.Errorf("gosuite: go env GOROOT GOVERSION said %q", out)
	}
	w.goroot, w.version = env[0], env[1]
	if _, err := os.Stat(filepath.Join(w.sourceDir("net/http"), "client_test.go")); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoSource, err)
	}
	out, err = w.goCommand(ctx, "list", "-f", "{{.ImportPath}}\n{{.Dir}}", ".")
	if err != nil {
		return nil, err
	}
	at := strings.Split(strings.TrimSpace(out), "\n")
	if len(at) != 2 || !strings.HasSuffix(at[0], "/gosuite") {
		return nil, fmt.Errorf("gosuite: the current directory holds %q, not this package", out)
	}
	w.self, w.selfDir = at[0], at[1]
	return w, nil
}

// Version is the Go version whose tests are run, such as "go1.26.8".
func (w *Workspace) Version() string { return w.version }

// sourceDir is where GOROOT keeps the package's files.
func (w *Workspace) sourceDir(pkg string) string {
	return filepath.Join(w.goroot, "src", filepath.FromSlash(pkg))
}

// sandbox is the import path that the rewritten tests of pkg get: below this
// package, so that the internal packages beside it can be imported.
func (w *Workspace) sandbox(pkg string) string { return w.self + "/sandbox/" + pkg }

// put makes the go command see a file of the sandbox.
func (w *Workspace) put(importPath, name, text string) error {
	rel := filepath.Join(filepath.FromSlash(strings.TrimPrefix(importPath, w.self+"/")), name)
	real := filepath.Join(w.dir, rel)
	if err := os.MkdirAll(filepath.Dir(real), 0o755); err != nil {
		return fmt.Errorf("gosuite: %w", err)
	}
	if err := os.WriteFile(real, []byte(text), 0o644); err != nil {
		return fmt.Errorf("gosuite: %w", err)
	}
	w.overlay[filepath.Join(w.selfDir, rel)] = real
	return nil
}

// build runs a subcommand of go that builds, with the overlay in force.
func (w *Workspace) build(ctx context.Context, subcommand string, args ...string) (string, error) {
	file, err := json.Marshal(struct{ Replace map[string]string }{w.overlay})
	if err != nil {
		return "", fmt.Errorf("gosuite: %w", err)
	}
	name := filepath.Join(w.dir, "overlay.json")
	if err := os.WriteFile(name, file, 0o644); err != nil {
		return "", fmt.Errorf("gosuite: %w", err)
	}
	flags := []string{subcommand, "-overlay=" + name}
	if w.race {
		flags = append(flags, "-race")
	}
	return w.goCommand(ctx, append(flags, args...)...)
}

func (w *Workspace) goCommand(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = w.selfDir
	// Whatever is missing is an error here, not a reason to use the network.
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOTOOLCHAIN=local")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("gosuite: go %s: %w\n%s", args[0], err, stderr.String())
	}
	return string(out), nil
}
