package nethttp

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestErrorsSayWhatNetHTTPSays holds the texts against net/http's own errors.
func TestErrorsSayWhatNetHTTPSays(t *testing.T) {
	started := make(chan struct{})
	ts := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(started)
		<-r.Context().Done()
	}))
	defer ts.Close()
	cancel := make(chan struct{})
	go func() { // ends with the request's arrival
		<-started
		close(cancel)
	}()
	req, err := http.NewRequest("GET", ts.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Cancel = cancel
	for _, want := range []error{ExportErrRequestCanceled, ExportErrRequestCanceledConn} {
		tr := new(http.Transport)
		if _, err := tr.RoundTrip(req); err == nil || err.Error() != want.Error() {
			t.Errorf("got %v, want %v", err, want)
		}
		tr.CloseIdleConnections()
	}
}

func TestConfiguredEndsSpeakHTTP2(t *testing.T) {
	ts := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	if err := ExportHttp2ConfigureServer(ts.Config, nil); err != nil {
		t.Fatal(err)
	}
	ts.TLS = ts.Config.TLSConfig
	ts.StartTLS()
	defer ts.Close()
	if err := ExportHttp2ConfigureTransport(ts.Client().Transport.(*http.Transport)); err != nil {
		t.Fatal(err)
	}
	resp, err := ts.Client().Get(ts.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.ProtoMajor != 2 {
		t.Errorf("got %s, want HTTP/2", resp.Proto)
	}
}
