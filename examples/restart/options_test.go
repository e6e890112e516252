package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestWithoutFlagsTheRunIsTheDocumentedOne(t *testing.T) {
	o, err := parseOptions(nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(o.modes, []mode{handover, drain}) || o.restarts != 30 || o.workers != 32 || o.every != 200*time.Millisecond || o.json {
		t.Errorf("got %+v, want handover and drain, 30 restarts, 32 workers, 200ms", o)
	}
}

func TestFlagsThatMakeNoSenseEndWithCodeTwoAndSayWhich(t *testing.T) {
	for _, tc := range []struct{ args, says string }{
		{"-modes=", `-modes has ""`},
		{"-modes=drain,reload", `-modes has "reload"`},
		{"-restarts=0", "-restarts is 0"},
		{"-restarts=10001", "-restarts is 10001"},
		{"-restarts=many", "restarts"},
		{"-workers=0", "-workers is 0"},
		{"-workers=1001", "-workers is 1001"},
		{"-every=-1s", "-every is -1s"},
		{"-every=2m", "-every is 2m"},
		{"-no-such-flag", "no-such-flag"},
		{"now", `unexpected argument "now"`},
	} {
		var stdout, stderr strings.Builder
		if code := run(t.Context(), strings.Fields(tc.args), &stdout, &stderr); code != exitUsage {
			t.Errorf("%s: got exit code %d, want %d", tc.args, code, exitUsage)
		}
		if !strings.Contains(stderr.String(), tc.says) {
			t.Errorf("%s: stderr says %q, want it to mention %q", tc.args, &stderr, tc.says)
		}
		if stdout.Len() > 0 {
			t.Errorf("%s: stdout got %q, want nothing: a script reads it", tc.args, &stdout)
		}
	}
}

func TestHelpListsTheFlagsAndIsNoFailure(t *testing.T) {
	var stdout, stderr strings.Builder
	if code := run(t.Context(), []string{"-h"}, &stdout, &stderr); code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
	for _, name := range []string{"-modes", "-restarts", "-workers", "-every", "-json"} {
		if !strings.Contains(stderr.String(), name) {
			t.Errorf("the help does not mention %s:\n%s", name, &stderr)
		}
	}
}
