package gosuite

import (
	"strings"
	"testing"
)

func TestEditsAreMadeInTheOrderOfTheirPlaces(t *testing.T) {
	got := applyEdits("one two three", []edit{{8, 13, "3"}, {0, 0, "("}, {0, 0, "["}, {3, 3, "]"}, {3, 3, ")"}, {4, 8, ""}})
	if want := "([one]) 3"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestEditsThatOverlapPanic(t *testing.T) {
	for _, edits := range [][]edit{{{0, 2, ""}, {1, 3, ""}}, {{2, 1, ""}}} {
		func() {
			defer func() {
				if r, ok := recover().(string); !ok || !strings.HasPrefix(r, "BUG:") {
					t.Errorf("edits %v: got %v, want a panic that says BUG", edits, r)
				}
			}()
			applyEdits("text", edits)
		}()
	}
}

func TestWhatIsCutOutLeavesItsLinesBehind(t *testing.T) {
	if got, want := blank("func f() {\n\treturn\n}"), "\n\n"; got != want {
		t.Errorf("got %q, want %q: failures must name the lines of the files in GOROOT", got, want)
	}
}
