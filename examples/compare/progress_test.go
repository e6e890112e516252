package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayopen-go/stayopen/internal/checks/mustrun"
)

func TestProgressIsPlainLinesWithoutATerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		ph := newProgress(&b, false).begin("tuned", "bursts", 4000)
		ph.done.Add(1234)
		<-time.After(3 * time.Second)
		ph.done.Store(4000)
		ph.end()
		lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
		if len(lines) != 2 {
			t.Fatalf("got %d lines in 3 seconds, want one after 2 and one at the end:\n%s", len(lines), b.String())
		}
		for i, want := range []string{"1,234 of 4,000 requests    2.0 s", "4,000 of 4,000 requests    3.0 s"} {
			if !strings.Contains(lines[i], "tuned") || !strings.Contains(lines[i], want) || strings.ContainsAny(lines[i], "\r\x1b") {
				t.Errorf("line %d is %q, want tuned's %q without escapes", i, lines[i], want)
			}
		}
	})
}

func TestProgressIsOneLineOnATerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		ph := newProgress(&b, true).begin("tuned", "bursts", 4000)
		<-time.After(450 * time.Millisecond)
		ph.end()
		if n := strings.Count(b.String(), "\r\x1b[K"); n != 5 {
			t.Errorf("the line was written %d times in 450 ms, want 4 refreshes and the end", n)
		}
		if n := strings.Count(b.String(), "\n"); n != 1 || !strings.HasSuffix(b.String(), "\n") {
			t.Errorf("got %q, want one newline at its end", b.String())
		}
	})
}

func TestFilesAndPipesAreNoTerminals(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	for name, out := range map[string]io.Writer{"a file": f, "a pipe": w, "a buffer": &strings.Builder{}} {
		if isTerminal(out) || wantsColour(out) {
			t.Errorf("%s is taken for a terminal", name)
		}
	}
}

func TestNoColorIsObeyed(t *testing.T) {
	// The null device is a character device, as a terminal is.
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if !isTerminal(null) {
		mustrun.Skipf(t, "the null device does not pass for a terminal here")
	}
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "xterm")
	if !wantsColour(null) {
		t.Error("with an empty NO_COLOR there is no colour, want some: only a value turns it off")
	}
	t.Setenv("NO_COLOR", "1")
	if wantsColour(null) {
		t.Error("NO_COLOR=1 is not obeyed")
	}
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "dumb")
	if wantsColour(null) {
		t.Error("TERM=dumb gets colours")
	}
}
