package status

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxName is how many characters of a host's name are shown.
const maxName = 200

// visible spells out everything in a name but printable ASCII: names that are not
// ASCII come here in their ASCII form, so what is left is broken or meant to
// deceive, by turning the direction of writing, say.
func visible(name string) string {
	var b strings.Builder
	n := 0
	for i, r := range name {
		if n++; n > maxName {
			return b.String() + "…"
		}
		switch {
		case r >= ' ' && r <= '~':
			b.WriteRune(r)
		case r == utf8.RuneError && !strings.HasPrefix(name[i:], string(utf8.RuneError)):
			fmt.Fprintf(&b, `\x%02x`, name[i])
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String()
}

// whole writes a whole number with its thousands apart.
func whole[N int | uint64](n N) string {
	text := strconv.FormatInt(int64(n), 10)
	sign := ""
	if text[0] == '-' {
		sign, text = "-", text[1:]
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return sign + text
}

// percent writes a share; a part that is not all is never 100 %.
func percent(share float64) string {
	switch {
	case share >= 1:
		return strconv.FormatFloat(100*share, 'f', 0, 64) + "\u00a0%"
	case share > 0.999:
		return "99.9\u00a0%"
	case share > 0 && share < 0.001:
		return "<\u00a00.1\u00a0%"
	}
	return strconv.FormatFloat(100*share, 'f', 1, 64) + "\u00a0%"
}

// rate writes how many a second.
func rate(perSecond float64) string {
	switch {
	case perSecond == 0:
		return "0/s"
	case perSecond < 0.1:
		return "< 0.1/s"
	case perSecond < 10:
		return strconv.FormatFloat(perSecond, 'f', 1, 64) + "/s"
	}
	return whole(uint64(math.Round(perSecond))) + "/s"
}

// span writes a duration in one or two units.
func span(d time.Duration) string {
	switch {
	case d <= 0:
		return "0"
	case d < time.Millisecond:
		return strconv.FormatInt(max(d.Microseconds(), 1), 10) + "\u00a0µs"
	case d < 10*time.Millisecond:
		return strconv.FormatFloat(d.Seconds()*1000, 'f', 1, 64) + "\u00a0ms"
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + "\u00a0ms"
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + "\u00a0s"
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + "\u00a0s"
	case d < time.Hour:
		return two(d, time.Minute, "m", time.Second, "s")
	case d < 24*time.Hour:
		return two(d, time.Hour, "h", time.Minute, "m")
	}
	return two(d, 24*time.Hour, "d", time.Hour, "h")
}

func two(d, large time.Duration, l string, small time.Duration, s string) string {
	return fmt.Sprintf("%d\u00a0%s\u00a0%d\u00a0%s", d/large, l, d%large/small, s)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
