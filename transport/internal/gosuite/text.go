package gosuite

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// An edit replaces the bytes [from, to) of a text. An insertion has from == to.
type edit struct {
	from, to int
	text     string
}

// applyEdits returns src with the edits made. Insertions at the same place come
// out in the order given. Edits that overlap otherwise are a mistake in the
// rewriting and panic.
func applyEdits(src string, edits []edit) string {
	slices.SortStableFunc(edits, func(a, b edit) int { return cmp.Compare(a.from, b.from) })
	var out strings.Builder
	done := 0
	for _, e := range edits {
		if e.from < done || e.to < e.from {
			panic(fmt.Sprintf("BUG: edits overlap at byte %d: %q", e.from, e.text))
		}
		out.WriteString(src[done:e.from])
		out.WriteString(e.text)
		done = e.to
	}
	out.WriteString(src[done:])
	return out.String()
}

// blank returns text with everything but its line ends gone: what is cut out of
// a test file leaves its lines behind, so that a failure's "client_test.go:720"
// is line 720 of the file in GOROOT.
func blank(text string) string {
	return strings.Repeat("\n", strings.Count(text, "\n"))
}
