package status_test

import (
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestTextHasEnoughContrast computes WCAG 2.1's contrast (1.4.3: 4.5 for text, and
// 1.4.11: 3 for what is drawn) from the style sheet's colours, light and dark.
func TestTextHasEnoughContrast(t *testing.T) {
	sheet, err := os.ReadFile("page.css")
	if err != nil {
		t.Fatal(err)
	}
	light, rest, ok := strings.Cut(string(sheet), "@media (prefers-color-scheme: dark)")
	dark, _, _ := strings.Cut(rest, "\n}\n")
	if !ok {
		t.Fatal("no dark colours")
	}
	for name, text := range map[string]string{"light": light, "dark": dark} {
		colors := make(map[string]float64)
		for _, m := range regexp.MustCompile(`--(\w+): #(\w+);`).FindAllStringSubmatch(text, -1) {
			colors[m[1]] = luminance(t, m[2])
		}
		for _, pair := range []struct {
			front, backs string
			want         float64
		}{
			{"ink", "page card warnback badback noteback goodback", 4.5},
			{"soft", "page card", 4.5},
			{"link", "page card", 4.5},
			{"heroink", "hero", 4.5},
			{"bad", "card page badback", 4.5},
			{"warn", "card warnback", 4.5},
			{"note", "card noteback", 4.5},
			{"good", "card goodback", 4.5},
			{"busy", "card", 3}, {"opened", "card", 3}, {"closed", "card", 3}, {"timewait", "card", 3}, {"local", "card", 3}, {"peer", "card", 3},
		} {
			for _, back := range strings.Fields(pair.backs) {
				a, b := colors[pair.front], colors[back]
				if got := (max(a, b) + 0.05) / (min(a, b) + 0.05); got < pair.want {
					t.Errorf("%s: %s on %s: got a contrast of %.2f, want %.1f at least", name, pair.front, back, got, pair.want)
				}
			}
		}
	}
}

func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	if len(hex) == 3 {
		hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
	}
	n, err := strconv.ParseUint(hex, 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	linear := func(shift int) float64 {
		c := float64(n>>shift&0xff) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(16) + 0.7152*linear(8) + 0.0722*linear(0)
}
