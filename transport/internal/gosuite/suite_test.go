package gosuite

import (
	"reflect"
	"testing"
)

func TestSuitesAreReadFromAList(t *testing.T) {
	got, err := ParseSuites("net/http/client_test.go, expvar/expvar_test.go,net/http/serve_test.go,net/http/client_test.go")
	want := []Suite{
		{"net/http", []string{"client_test.go", "serve_test.go"}},
		{"expvar", []string{"expvar_test.go"}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func TestAListMustNameTestFiles(t *testing.T) {
	for _, list := range []string{"", "net/http", "client_test.go", "net/http/client.go", "net/http/client_test.go,"} {
		if got, err := ParseSuites(list); err == nil {
			t.Errorf("%q: got %v, want an error", list, got)
		}
	}
}
