package transport_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stayopen-go/stayopen/transport"
)

// sameOnBoth runs a program on net/http's Transport and on ours, both made from
// tmpl, and fails the test if the reports that it returns differ.
func sameOnBoth(t *testing.T, tmpl *http.Transport, program func(t *testing.T, rt http.RoundTripper) string) {
	t.Helper()
	theirs := tmpl.Clone()
	t.Cleanup(theirs.CloseIdleConnections)
	want := program(t, theirs)
	ours := newTransport(t, transport.Config{Template: tmpl.Clone()})
	if got := program(t, ours); got != want {
		t.Errorf("the reports differ:\n%s", difference(got, want))
	}
}

// difference shows two reports from the first line on in which they differ.
func difference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	same := 0
	for same < len(g) && same < len(w) && g[same] == w[same] {
		same++
	}
	const shown = 12
	part := func(lines []string) string {
		return strings.Join(lines[max(same-2, 0):min(same+shown, len(lines))], "\n")
	}
	return fmt.Sprintf("got, after %d lines that are the same,\n%s\n\nwant, as with http.Transport,\n%s", same, part(g), part(w))
}
