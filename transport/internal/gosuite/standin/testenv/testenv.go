// Package testenv stands in for Go's internal/testenv, as far as net/http's
// client tests use it.
package testenv

import (
	"context"
	"os"
	"os/exec"
	"testing"
)

// Builder is the name of the Go project's machine that runs the tests. Ours is
// none of those.
func Builder() string { return "" }

// SkipFlaky skips a test that the Go project knows to be flaky.
func SkipFlaky(t testing.TB, issue int) {
	t.Helper()
	t.Skipf("known to be flaky: golang.org/issue/%d", issue)
}

// MustHaveExec does nothing: whoever runs these tests has started processes
// already.
func MustHaveExec(testing.TB) {}

// Executable is the running test binary.
func Executable(t testing.TB) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

// Command is exec.Command; the process ends with the test.
func Command(t testing.TB, name string, args ...string) *exec.Cmd {
	return CommandContext(t, t.Context(), name, args...)
}

// CommandContext is exec.CommandContext.
func CommandContext(_ testing.TB, ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, name, args...)
}
