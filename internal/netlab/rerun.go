package netlab

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/internal/checks/mustrun"
)

// env tells a process that it was started in a namespace, and in which.
const env = "STAYOPEN_NETLAB"

// Inside reports whether this process was started by Rerun or Start.
func Inside() bool { return os.Getenv(env) != "" }

// Rerun runs the same test again in another process, in the namespace, and fails
// or skips as that one does. The variables ("NAME=value") are added to its
// environment. If the test ends early, the process is killed.
func (l *Lab) Rerun(t *testing.T, ns string, vars ...string) {
	t.Helper()
	cmd := l.command(t.Context(), t, ns, vars)
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil:
		t.Fatalf("in namespace %s: %v\n%s", ns, err, out)
	case bytes.Contains(out, []byte("--- SKIP: "+t.Name())):
		mustrun.Skipf(t, "in namespace %s:\n%s", ns, out)
	case !bytes.Contains(out, []byte("--- PASS: "+t.Name())):
		t.Fatalf("in namespace %s the test did not run:\n%s", ns, out)
	}
	t.Logf("in namespace %s:\n%s", ns, out)
}

// Start is Rerun without waiting for the end: it returns as soon as the other
// process calls Hold, with the message that was given there. That process is
// told to end when the test ends, and the test fails if it fails.
func (l *Lab) Start(t *testing.T, ns string, vars ...string) (message string) {
	t.Helper()
	// Not the end of the test's context ends it, but that of its stdin: its own
	// checks have to be heard.
	cmd := l.command(context.WithoutCancel(t.Context()), t, ns, vars)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var seen bytes.Buffer
	out := bufio.NewReader(io.TeeReader(stdout, &seen))
	finish := sync.OnceValue(func() error {
		stdin.Close()
		io.Copy(io.Discard, out)
		return cmd.Wait()
	})
	t.Cleanup(func() {
		if err := finish(); err != nil {
			t.Errorf("in namespace %s: %v\n%s%s", ns, err, &seen, &stderr)
		}
	})
	for {
		line, err := out.ReadString('\n')
		if message, ok := strings.CutPrefix(line, ready); ok {
			return strings.TrimSuffix(message, "\n")
		}
		if err != nil {
			finish() // before its output is read
			t.Fatalf("in namespace %s the test ended without a call of Hold:\n%s%s", ns, &seen, &stderr)
		}
	}
}

const ready = "netlab ready: "

// Hold is for a process that Start has started. It hands over the message, of
// one line, and returns when the test that started it is over.
func Hold(message string) {
	fmt.Printf("\n%s%s\n", ready, message)
	io.Copy(io.Discard, os.Stdin)
}

// command is this test alone, in the namespace.
func (l *Lab) command(ctx context.Context, t *testing.T, ns string, vars []string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"netns", "exec", ns, self, "-test.v", "-test.count=1", "-test.run=" + pattern(t.Name())}
	if testing.Short() {
		args = append(args, "-test.short")
	}
	if deadline, ok := t.Deadline(); ok {
		args = append(args, "-test.timeout="+time.Until(deadline).String())
	}
	cmd := exec.CommandContext(ctx, "ip", args...)
	cmd.Env = append(os.Environ(), env+"="+ns)
	if os.Getenv("GORACE") == "" {
		// The race detector waits a second for more races before it lets a
		// process end. A test that runs in several would mostly do that.
		cmd.Env = append(cmd.Env, "GORACE=atexit_sleep_ms=100")
	}
	cmd.Env = append(cmd.Env, vars...)
	return cmd
}

// pattern matches the test of this name and no other.
func pattern(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	return strings.Join(parts, "/")
}
