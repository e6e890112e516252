package gosuite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/stayopen-go/stayopen/transport/internal/gosuite/adapter"
)

// A Binary is the test binary of one suite, compiled.
type Binary struct {
	Suite   Suite
	Tests   []string  // in the order of their files
	LeftOut []LeftOut // by name

	file    string
	workDir string
	cancel  map[string]bool // tests that call Transport.CancelRequest
}

// Build rewrites a suite's tests and compiles them.
func (w *Workspace) Build(ctx context.Context, suite Suite) (*Binary, error) {
	p, err := w.load(ctx, suite)
	if err != nil {
		return nil, err
	}
	if err := p.prune(); err != nil {
		return nil, err
	}
	b := &Binary{
		Suite:   suite,
		Tests:   p.tests(),
		LeftOut: p.leftOut(),
		cancel:  p.cancelers(),
		// Windows runs nothing that is not called .exe.
		file: filepath.Join(w.dir, strings.ReplaceAll(suite.Package, "/", "_")+".test.exe"),
		// Where go test would run them: some read files there.
		workDir: w.sourceDir(suite.Package),
	}
	if len(b.Tests) == 0 {
		return b, nil
	}
	p.reach()
	r := newRerouter(p)
	for _, f := range p.files {
		text, err := p.text(f, r.edits(f))
		if err != nil {
			return nil, err
		}
		if text == "" {
			continue
		}
		if err := w.put(w.sandbox(suite.Package), f.name, text); err != nil {
			return nil, err
		}
	}
	_, err = w.build(ctx, "test", "-c", "-vet=off", "-o", b.file, w.sandbox(suite.Package))
	return b, err
}

// Run runs a test, or with a mode one of its subtests, in a process of its own
// over one transport, adapter.NetHTTP or adapter.Stayopen. A process that has
// not ended after limit is killed, and has failed; before that it is made to say
// what its goroutines are doing.
func (b *Binary) Run(ctx context.Context, over, test, mode string, limit time.Duration) (*Outcome, error) {
	pattern := "^" + test + "$"
	if mode != "" {
		pattern += "/^" + mode + "$"
	}
	const grace = 10 * time.Second
	ctx, cancel := context.WithTimeout(ctx, limit+grace)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.file, "-test.run="+pattern, "-test.v=test2json", "-test.timeout="+limit.String())
	cmd.Dir = b.workDir
	cmd.Env = append(os.Environ(), adapter.Variable+"="+over)
	// The race detector's second of sleep at the end of a process, for races that
	// may yet be reported, would be most of what hundreds of processes take.
	cmd.Env = append(cmd.Env, "GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=20")
	if b.cancel[test] {
		cmd.Env = append(cmd.Env, adapter.CancelVariable+"=1")
	}
	cmd.WaitDelay = grace
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	err := cmd.Run()
	o := parseOutcome(out.String())
	o.Took = time.Since(start)
	var exit *exec.ExitError
	switch {
	case err == nil:
		o.OK = true
	case errors.As(err, &exit), errors.Is(err, exec.ErrWaitDelay):
	default:
		return nil, fmt.Errorf("gosuite: %w", err)
	}
	return o, nil
}
