package main

import (
	"context"
	"encoding/json"
	"runtime"
	"strings"
	"testing"
	"time"
)

// runJSON runs restart with args and -json, and returns its modes by name.
func runJSON(t *testing.T, ctx context.Context, wantCode int, args ...string) map[mode]figures {
	t.Helper()
	var stdout, stderr strings.Builder
	if code := run(ctx, append(args, "-json"), &stdout, &stderr); code != wantCode {
		t.Fatalf("got exit code %d, want %d; stdout:\n%s\nstderr:\n%s", code, wantCode, &stdout, &stderr)
	}
	var got struct{ Modes []figures }
	if err := json.Unmarshal([]byte(stdout.String()), &got); err != nil {
		t.Fatalf("stdout is not one JSON value: %v:\n%s", err, &stdout)
	}
	modes := map[mode]figures{}
	for _, f := range got.Modes {
		modes[f.Mode] = f
	}
	return modes
}

func TestRestartsFailNoRequestWhenTheListenerIsHandedOver(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("descriptors cannot be passed")
	}
	wantSound(t, runJSON(t, t.Context(), 0, "-modes=handover", "-restarts=4", "-workers=8", "-every=50ms")[handover])
}

func TestRestartsFailNextToNoRequestWhenTheListenerIsDrained(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems do not spread connections over listeners")
	}
	f := runJSON(t, t.Context(), 0, "-modes=drain", "-restarts=4", "-workers=8", "-every=50ms")[drain]
	wantSound(t, f)
	if uint64(f.Connections) != f.Accepted {
		t.Errorf("clients opened %d connections and servers accepted %d, want as many: none was lost in a queue", f.Connections, f.Accepted)
	}
}

// wantSound checks what a run of 4 restarts must show in any mode. Exit code 0
// says that failures are within their bound.
func wantSound(t *testing.T, f figures) {
	t.Helper()
	if f.Restarts != 4 || f.Failed > f.allowed() {
		t.Errorf("got %d restarts and %d failures, want 4 and at most %d", f.Restarts, f.Failed, f.allowed())
	}
	if f.Alone < 100 || f.Requests-f.Alone < 100 {
		t.Errorf("got %d requests and %d of them alone, want many of both kinds: else nothing is shown", f.Requests, f.Alone)
	}
	if f.Connections < f.Alone || f.Connections >= f.Requests {
		t.Errorf("got %d connections for %d requests of which %d are alone, want one for each of these and a few more", f.Connections, f.Requests, f.Alone)
	}
	if f.Accepted > uint64(f.Connections) {
		t.Errorf("servers accepted %d connections and clients opened %d, want no more", f.Accepted, f.Connections)
	}
	if f.Seconds < 0.25 {
		t.Errorf("got %v seconds, want at least the pauses", f.Seconds)
	}
}

// Without the draining requests fail, or the other tests show nothing.
func TestRestartsFailRequestsWhenTheListenerIsOnlyClosed(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems do not spread connections over listeners")
	}
	f := runJSON(t, t.Context(), 0, "-modes=close", "-restarts=15", "-workers=64", "-every=20ms")[justClose]
	if f.Failed == 0 || f.FirstError == "" {
		t.Errorf("got %d failures of %d requests, first %q, want some", f.Failed, f.Requests, f.FirstError)
	}
}

func TestAnInterruptedRunPrintsWhatThereIs(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("descriptors cannot be passed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	modes := runJSON(t, ctx, exitInterrupted, "-restarts=10000", "-workers=2", "-every=20ms")
	if f := modes[handover]; f.Restarts > 20 {
		t.Errorf("got %d restarts, want those of 300 ms", f.Restarts)
	}
	if _, ok := modes[drain]; ok {
		t.Error("got figures of a mode that did not begin")
	}
}
