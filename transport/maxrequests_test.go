package transport_test

import (
	"net/http"
	"testing"

	"github.com/stayopen-go/stayopen/transport"
)

func TestAPeersWordOnRequestsDoesNotRaiseOurLimit(t *testing.T) {
	s := serve(t, "h1", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Keep-Alive", "timeout=60, max=100")
	}))
	tr := newTransport(t, transport.Config{Template: s.template("h1"), MaxRequestsPerConn: 4})
	for range 20 {
		mustGet(t, &http.Client{Transport: tr}, s.URL)
	}
	if got := tr.Stats().Opened; got != 5 {
		t.Errorf("got %d connections for 20 requests, want 5", got)
	}
}
