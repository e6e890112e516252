package httputil

import (
	"io"
	"net/http"
	"testing"
)

func TestTheUpgradeIsFoundWhereConnectionNamesIt(t *testing.T) {
	for _, test := range []struct {
		h    http.Header
		want string
	}{
		{http.Header{"Connection": {"keep-alive, upgrade"}, "Upgrade": {"websocket"}}, "websocket"},
		{http.Header{"Connection": {"close", "Upgrade"}, "Upgrade": {"foo"}}, "foo"},
		{http.Header{"Connection": {"upgraded"}, "Upgrade": {"foo"}}, ""},
		{http.Header{"Upgrade": {"foo"}}, ""},
	} {
		if got := UpgradeType(test.h); got != test.want {
			t.Errorf("%v: got %q, want %q", test.h, got, test.want)
		}
	}
}

func TestNeverEndingFillsEveryBuffer(t *testing.T) {
	b := make([]byte, 3)
	if n, err := io.ReadFull(NeverEnding('x'), b); n != 3 || err != nil || string(b) != "xxx" {
		t.Errorf("got %q, %d, %v, want xxx", b, n, err)
	}
}
