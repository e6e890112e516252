package transport

import (
	"os"
	"regexp"
	"testing"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/pool"
)

func TestAReasonThatNobodyKnowsIsCountedAsOther(t *testing.T) {
	tr := &Transport{}
	tr.count.closed(dialer.CloseRecord{By: "a new one"}, "a new one")
	want := CloseCount{Reason: "other", By: dialer.UnknownInitiator, N: 1}
	if got := tr.Closes(); len(got) != 1 || got[0] != want {
		t.Errorf("closed: got %v, want %v alone", got, want)
	}
	tr.count.opened[openReason("a new one").index()].Add(1)
	c, sum := tr.count.opened.read()
	if got := c.Of("other"); got != 1 || sum != 1 {
		t.Errorf("opened: got %d for %q of %d, want 1 of 1: all are %v", got, "other", sum, c)
	}
}

// Every reason that is declared is counted as what it is.
func TestEveryReasonHasAPlaceOfItsOwn(t *testing.T) {
	n := 0
	for file, pattern := range map[string]string{
		"stats.go":          `\breason\s+= "([a-z_]+)"`,
		"../pool/config.go": `\bReason = "([a-z_]+)"`,
		"../pool/losses.go": `\bReason = "([a-z_]+)"`,
		"openreason.go":     `\bOpenReason = "([a-z_]+)"`,
	} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(pattern).FindAllSubmatch(source, -1) {
			n++
			why := openReason(pool.Reason(m[1]))
			if got := openReasonAt(why.index()); got != why {
				t.Errorf("%s: %q is counted as %q", file, why, got)
			}
		}
	}
	if n < 24 {
		t.Errorf("found %d reasons; are they declared otherwise now?", n)
	}
}
