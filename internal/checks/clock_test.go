package checks

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

// wallClock finds what makes a moment one of the wall clock, which can be set, and
// so leaves the monotonic clock's reading behind.
var wallClock = regexp.MustCompile(`\.(?:(?:Unix|UnixMilli|UnixMicro|UnixNano|UTC|Local)\(\)|(?:Truncate|Round)\()`)

// wallClockMay is who may nonetheless: the pool, which compares it with the
// monotonic one, and a page that shows the time.
func wallClockMay(name string) bool {
	return name == "pool/clock.go" || strings.HasPrefix(name, "transport/status/")
}

func TestNothingIsMeasuredByTheWallClock(t *testing.T) {
	n := 0
	for _, f := range files(t, "*.go") {
		room, _, _ := strings.Cut(f.name, "/")
		if room != "pool" && room != "dialer" && room != "transport" || strings.HasSuffix(f.name, "_test.go") || wallClockMay(f.name) {
			continue
		}
		n++
		for i, line := range bytes.Split(f.text, []byte("\n")) {
			code, _, _ := bytes.Cut(line, []byte("//"))
			if call := wallClock.Find(code); call != nil && !bytes.Contains(code, []byte("math.")) {
				t.Errorf("%s:%d: got %s, want times that keep the monotonic clock's reading", f.name, i+1, call)
			}
		}
	}
	if n < 100 {
		t.Errorf("looked at %d files; are they elsewhere now?", n)
	}
}
