// Package mustrun keeps a skipped test from looking like a passed one.
//
// Some tests need what not every machine has: root, network namespaces, a
// server program, the sources of Go. On such a machine they skip. Where all of
// that is installed, a skip would mean that nothing was proved, so there the
// environment says that they must run.
package mustrun

import (
	"os"
	"testing"
)

// Env names the environment variable that turns these skips into failures.
// Any value but the empty one does.
const Env = "STAYOPEN_MUST_RUN"

// Skipf skips the test because the machine lacks something it needs, which the
// message names. If the variable Env is set, the test fails instead. Either way
// it ends there; like testing.TB's Skip and Fatal it must be called from the
// goroutine that runs the test.
func Skipf(tb testing.TB, format string, args ...any) {
	tb.Helper()
	if os.Getenv(Env) != "" {
		tb.Fatalf(Env+" is set, but "+format, args...)
	}
	tb.Skipf(format, args...)
}
