package hostcheck_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/stayopen-go/stayopen/dialer/hostcheck"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func read(t *testing.T) *hostcheck.Settings {
	t.Helper()
	s, err := hostcheck.Read()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// find returns the finding, of which there must be one.
func find(t *testing.T, all []hostcheck.Finding, id string) hostcheck.Finding {
	t.Helper()
	var found []hostcheck.Finding
	for _, f := range all {
		if f.ID == id {
			found = append(found, f)
		}
	}
	if len(found) != 1 {
		t.Fatalf("got %+v, want one finding %s", found, id)
	}
	return found[0]
}
