package hostcheck_test

import (
	"testing"

	"github.com/stayopen-go/stayopen/dialer/hostcheck"
)

func TestASeverityIsReadAsItIsWritten(t *testing.T) {
	for s := hostcheck.Good; s <= hostcheck.Error; s++ {
		text, _ := s.MarshalText()
		var got hostcheck.Severity
		if err := got.UnmarshalText(text); err != nil || got != s {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
	got := hostcheck.Note
	if err := got.UnmarshalText([]byte("fatal")); err == nil || got != hostcheck.Note {
		t.Errorf(`"fatal": got %v, %v, want an error and no change`, got, err)
	}
}
