package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stayopen-go/stayopen/internal/checks/mustrun"
)

// terminal is a pseudoterminal of that size, and both of its ends.
func terminal(t *testing.T, rows, columns uint16) (inside, outside *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		mustrun.Skipf(t, "this test needs a pseudoterminal: %v", err)
	}
	outside = os.NewFile(uintptr(fd), "ptmx")
	t.Cleanup(func() { outside.Close() })
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	inside, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		mustrun.Skipf(t, "this test needs a pseudoterminal: %v", err)
	}
	t.Cleanup(func() { inside.Close() })
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}); err != nil {
		t.Fatal(err)
	}
	return inside, outside
}

func TestOnATerminalEachReportFitsAndTakesThePlaceOfTheLast(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "xterm")
	const rows, columns = 12, 60
	inside, outside := terminal(t, rows, columns)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan int)
	go func() { done <- run(ctx, []string{"-watch", "100ms", "-all"}, inside, os.Stderr) }()
	var seen strings.Builder
	buf := make([]byte, 4096)
	for strings.Count(seen.String(), clearBelow) < 3 {
		n, err := outside.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		seen.Write(buf[:n])
	}
	cancel()
	for !strings.HasSuffix(seen.String(), showCursor) {
		n, err := outside.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		seen.Write(buf[:n])
	}
	if code := <-done; code != 0 && code != exitError {
		t.Errorf("got status %d, want that of the last report", code)
	}
	if strings.Count(seen.String(), clearScreen) != 1 || !strings.Contains(seen.String(), string(bold)) {
		t.Errorf("got %q, want colours, and the screen cleared once", seen.String())
	}
	frames := strings.Split(seen.String(), home)[1:]
	for _, frame := range frames {
		lines := strings.Split(frame, "\r\n")
		if len(lines) > rows {
			t.Errorf("got %d rows, want at most %d: more would scroll", len(lines), rows)
		}
		for _, line := range lines {
			if n := len([]rune(visible(strings.TrimRight(line, "\r")))); n > columns {
				t.Errorf("got %d characters in %q, want at most %d", n, line, columns)
			}
		}
	}
	if !strings.Contains(frames[0], "more lines") {
		t.Errorf("got %q, want it said that not all fits", frames[0])
	}
}
