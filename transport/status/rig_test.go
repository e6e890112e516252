package status_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stayopen-go/stayopen/transport"
	"github.com/stayopen-go/stayopen/transport/status"
)

// rig is a transport whose hosts, whatever they are called, are all one server.
// Nobody listens for those whose name begins with "down".
type rig struct {
	tr   *transport.Transport
	page *status.Handler
}

func newRig(tb testing.TB, cfg status.Config) *rig {
	tb.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("hello")) }))
	addr := server.Listener.Addr().String()
	tr, err := transport.New(transport.Config{Name: "tried", Template: &http.Transport{
		DialContext: func(ctx context.Context, network, to string) (net.Conn, error) {
			if strings.HasPrefix(to, "down") {
				return nil, errors.New("nobody there")
			}
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	}})
	if err != nil {
		tb.Fatal(err)
	}
	cfg.Transports = append(cfg.Transports, tr)
	r := &rig{tr: tr, page: newPage(tb, cfg)}
	tb.Cleanup(func() {
		r.page.Close()
		tr.Close()
		server.Close()
	})
	return r
}

func newPage(tb testing.TB, cfg status.Config) *status.Handler {
	tb.Helper()
	page, err := status.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return page
}

// send sends a request to a host of any name, and reports whether it was answered.
func (r *rig) send(tb testing.TB, host string) bool {
	tb.Helper()
	resp, err := r.tr.RoundTrip(&http.Request{Method: "GET", URL: &url.URL{Scheme: "http", Host: host, Path: "/"}, Host: "x", Header: http.Header{}})
	if err != nil {
		return false
	}
	resp.Body.Close()
	return true
}

// get asks a page. Header fields come in pairs.
func get(h http.Handler, target string, fields ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest("GET", target, nil)
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}

func report(tb testing.TB, h http.Handler, target string) status.Report {
	tb.Helper()
	w := get(h, target, "Accept", "application/json")
	var r status.Report
	if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil || w.Code != 200 {
		tb.Fatalf("status %d, %v: %s", w.Code, err, w.Body)
	}
	return r
}
