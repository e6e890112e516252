package adapter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"testing/synctest"
)

func TestWhatHasNoTransportOfItsOwnIsRerouted(t *testing.T) {
	if _, ok := http.DefaultTransport.(*Adapter); !ok {
		t.Errorf("http.DefaultTransport: got a %T, want an *Adapter", http.DefaultTransport)
	}
	tr := new(http.Transport)
	c := Client(&http.Client{Transport: tr})
	if c.Transport != RoundTripper(tr) {
		t.Errorf("Client: got %v, want the adapter of its *http.Transport", c.Transport)
	}
	if c := Client(new(http.Client)); c.Transport != nil {
		t.Errorf("Client: got %v, want it left without a transport", c.Transport)
	}
}

func TestAssertionsSeeThroughAdapters(t *testing.T) {
	tr := new(http.Transport)
	if got := As[*http.Transport](RoundTripper(tr)); got != tr {
		t.Errorf("As: got %p, want %p", got, tr)
	}
	if got, ok := AsOK[*http.Transport](RoundTripper(tr)); got != tr || !ok {
		t.Errorf("AsOK: got %p, %v, want %p, true", got, ok, tr)
	}
	if got, ok := AsOK[*http.Transport](http.NewFileTransport(http.Dir("."))); got != nil || ok {
		t.Errorf("AsOK of another transport: got %p, %v, want nil, false", got, ok)
	}
	if got := Unwrap("text"); got != "text" {
		t.Errorf("Unwrap: got %v, want what went in", got)
	}
}

func TestErrorsAreComparedByTheirText(t *testing.T) {
	a, b := errors.New("a"), errors.New("b")
	for _, test := range []struct {
		x, y error
		want bool
	}{{a, errors.New("a"), true}, {a, b, false}, {nil, nil, true}, {a, nil, false}, {nil, a, false}} {
		if got := SameError(test.x, test.y); got != test.want {
			t.Errorf("SameError(%v, %v): got %v, want %v", test.x, test.y, got, test.want)
		}
	}
	wrapped := fmt.Errorf("outer: %w", errors.New("a"))
	if !ErrorIs(wrapped, a) || ErrorIs(wrapped, b) || ErrorIs(nil, a) || !ErrorIs(nil, nil) {
		t.Error("ErrorIs: got another answer than errors.Is gives for equal texts")
	}
}

// hello is a server that answers with what the connection is.
func hello(t *testing.T) *httptest.Server {
	t.Helper()
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			<-r.Context().Done()
			return
		}
		io.WriteString(w, r.RemoteAddr)
	}))
	t.Cleanup(ts.Close)
	return ts
}

func get(t *testing.T, rt http.RoundTripper, url string) string {
	t.Helper()
	resp, err := (&http.Client{Transport: rt}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFieldsCountAsTheyAreAtARequest(t *testing.T) {
	ts := hello(t)
	tr := new(http.Transport)
	a := RoundTripper(tr)
	t.Cleanup(a.CloseIdleConnections)
	tr.DisableKeepAlives = true // after the adapter was made
	if first := get(t, a, ts.URL); first == get(t, a, ts.URL) {
		t.Errorf("without keep-alive: got %s twice, want two connections", first)
	}
	tr.DisableKeepAlives = false // after a request
	if first, second := get(t, a, ts.URL), get(t, a, ts.URL); first != second {
		t.Errorf("with keep-alive: got %s and %s, want one connection", first, second)
	}
	if got := len(a.(*Adapter).opened()); got != 2 {
		t.Errorf("got %d transports built, want one for each set of fields", got)
	}
}

func TestFieldsDifferWhereOneWasAssigned(t *testing.T) {
	dialer := func(answer error) func(context.Context, string, string) (net.Conn, error) {
		return func(context.Context, string, string) (net.Conn, error) { return nil, answer }
	}
	tr := &http.Transport{DialContext: dialer(io.EOF)}
	was := fields(tr)
	if fields(tr) != was {
		t.Error("got a difference, want none: nothing was assigned")
	}
	tr.DialContext = dialer(io.ErrUnexpectedEOF) // the same code, another closure
	if fields(tr) == was {
		t.Error("got no difference, want one: the dial function is another")
	}
}

func TestCloseIdleConnectionsReachesStayopen(t *testing.T) {
	ts := hello(t)
	a := RoundTripper(new(http.Transport))
	first := get(t, a, ts.URL)
	a.CloseIdleConnections()
	if second := get(t, a, ts.URL); first == second {
		t.Errorf("got %s twice, want another connection", first)
	}
	a.CloseIdleConnections()
}

func TestCancelRequestEndsARequest(t *testing.T) {
	defer func(was bool) { cancels = was }(cancels)
	cancels = true
	ts := hello(t)
	a := RoundTripper(new(http.Transport))
	own := make(chan struct{})
	for name, c := range map[string]struct {
		ch  chan struct{}
		end func(*http.Request)
	}{
		"CancelRequest":             {nil, a.CancelRequest},
		"CancelRequest with Cancel": {own, a.CancelRequest},
		"Cancel":                    {own, func(*http.Request) { close(own) }},
	} {
		req, err := http.NewRequest("GET", ts.URL+"/hang", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Cancel = c.ch
		done := make(chan error)
		go func() {
			resp, err := a.RoundTrip(req)
			if err == nil {
				resp.Body.Close()
			}
			done <- err
		}()
		for known := false; !known; _, known = cancelers.Load(req) {
			runtime.Gosched()
		}
		c.end(req)
		if err := <-done; err == nil {
			t.Errorf("%s: got a response, want an error", name)
		}
	}
}

func TestBubblesAreKnown(t *testing.T) {
	if inBubble() {
		t.Error("outside: got a bubble, want none")
	}
	synctest.Test(t, func(t *testing.T) {
		if !inBubble() {
			t.Error("inside: got no bubble, want one")
		}
	})
}
