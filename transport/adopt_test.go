package transport

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestAConnectionThatEndsWhileItIsAdoptedGivesTheNextOneAReasonThatThereIs(t *testing.T) {
	tr, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	get := func(url string) *conn {
		t.Helper()
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		var c *conn
		tr.pool.EachConn(func(each *conn, _ int) {
			if "http://"+each.origin.addr == url {
				c = each
			}
		})
		return c
	}
	serve := func() string {
		s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		t.Cleanup(s.Close)
		return s.URL
	}
	from, to := serve(), serve()
	adopted, place := get(from), get(to)
	adopted.because(reasonPeer)
	adopted.wire.Close() // where it comes from is told
	adopted.move(place.entry.Load())
	defer place.wire.Close()
	get(to)
	if n := tr.Stats().OpenedBecause.Of(OpenPeerClosed); n != 1 {
		t.Errorf("opened because of %v, want one because the peer has closed the one before", tr.Stats().OpenedBecause)
	}
}
