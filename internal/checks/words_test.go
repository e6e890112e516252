package checks

import (
	"bytes"
	"regexp"
	"slices"
	"testing"
)

// foreign finds what means something on one machine only: somebody's folders.
var foreign = regexp.MustCompile(`/(?:home|root|[w]ork|workspace|Users)/\w`)

func TestNothingRefersToOneMachine(t *testing.T) {
	for _, f := range files(t, "*") {
		for i, line := range bytes.Split(f.text, []byte("\n")) {
			if word := foreign.Find(line); word != nil && f.name != wordsTest {
				t.Errorf("%s:%d: got %q, want nothing that only one machine has: a newcomer's has other folders", f.name, i+1, word)
			}
		}
	}
}

// wordsTest is this file, which must name what it looks for.
const wordsTest = "internal/checks/words_test.go"

func TestForeignWordsAreFound(t *testing.T) {
	for text, want := range map[string]bool{
		"see /home/ann/notes":      true,
		"cd /workspace/main":       true,
		"/usr/local/go, /etc/ssl":  false,
		"https://example.com/work": false,
		"at work/life balance":     false,
	} {
		if got := foreign.MatchString(text); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}

// unreleased is the heading that the next version's changes stand under.
var unreleased = regexp.MustCompile(`(?m)^## \[Unreleased\]$`)

func TestChangelogHasAPlaceForTheNextChange(t *testing.T) {
	logs := files(t, "CHANGELOG.md")
	if !slices.ContainsFunc(logs, func(f file) bool { return f.name == "CHANGELOG.md" && unreleased.Match(f.text) }) {
		t.Error(`CHANGELOG.md: got no heading "## [Unreleased]", want one: every change that users notice goes there`)
	}
}
