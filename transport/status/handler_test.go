package status_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayopen-go/stayopen/transport"
	"github.com/stayopen-go/stayopen/transport/status"
)

func TestTheAcceptFieldChoosesBetweenPageAndJSON(t *testing.T) {
	r := newRig(t, status.Config{WithoutHost: true})
	const (
		page = "text/html; charset=utf-8"
		json = "application/json"
	)
	for _, c := range []struct{ target, accept, want string }{
		{"/", "", page},
		{"/", "*/*", page},
		{"/", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", page},
		{"/", "application/json", json},
		{"/", "application/*", json},
		{"/", "application/json;q=0.5, text/html;q=0.4", json},
		{"/", "application/json;q=0.4, text/html;q=0.5", page},
		{"/", "application/json, text/html", page},
		{"/", "text/html;q=0, */*", json},
		{"/", "image/png", page},
		{"/", "application/json;q=x", json},
		{"/", ";;;", page},
		{"/?format=json", "text/html", json},
		{"/?format=html", "application/json", page},
		{"/?format=xml", "application/json", json},
	} {
		w := get(r.page, c.target, "Accept", c.accept)
		if got := w.Header().Get("Content-Type"); got != c.want || w.Code != 200 {
			t.Errorf("%s with Accept %q: got %d %s, want 200 %s", c.target, c.accept, w.Code, got, c.want)
		}
	}
}

func TestOnlyGETAndHEADAreAnswered(t *testing.T) {
	r := newRig(t, status.Config{WithoutHost: true})
	for method, want := range map[string]int{"GET": 200, "HEAD": 200, "POST": 405, "PUT": 405, "DELETE": 405, "OPTIONS": 405} {
		w := httptest.NewRecorder()
		r.page.ServeHTTP(w, httptest.NewRequest(method, "/debug/stayopen", nil))
		if w.Code != want {
			t.Errorf("%s: got %d, want %d", method, w.Code, want)
		}
		if method == "HEAD" && (w.Body.Len() > 0 || w.Header().Get("Content-Length") == "") {
			t.Errorf("HEAD: got %d bytes and a length of %q, want no body and its length", w.Body.Len(), w.Header().Get("Content-Length"))
		}
		if want == 405 && w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: got Allow %q, want GET and HEAD", method, w.Header().Get("Allow"))
		}
	}
}

func TestAnswersAreNotStoredAndMayLoadNothing(t *testing.T) {
	r := newRig(t, status.Config{WithoutHost: true})
	w := get(r.page, "/")
	for name, want := range map[string]string{
		"Cache-Control":                "no-store",
		"Vary":                         "Accept",
		"X-Content-Type-Options":       "nosniff",
		"Referrer-Policy":              "no-referrer",
		"Cross-Origin-Resource-Policy": "same-origin",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	policy := w.Header().Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "default-src 'none'; base-uri 'none'; ") || strings.Contains(policy, "unsafe") {
		t.Errorf("got the policy %q, want one that begins with nothing at all and has nothing unsafe", policy)
	}
	if found := regexp.MustCompile(`(?i)(?:src|href|url|@import|action)\s*[=(]\s*["']?\s*(?:[a-z]+:|//)|style=|\son\w+=`).FindString(w.Body.String()); found != "" {
		t.Errorf("the page has %q, want nothing from elsewhere and nothing inline that the policy forbids", found)
	}
	if !strings.Contains(w.Body.String(), `<noscript><meta http-equiv="refresh"`) {
		t.Error("without JavaScript the page does not renew itself")
	}
}

func TestAConfigWithoutTransportsIsRefused(t *testing.T) {
	for name, cfg := range map[string]status.Config{"none": {}, "nil": {Transports: []*transport.Transport{nil}}} {
		if h, err := status.New(cfg); err == nil {
			h.Close()
			t.Errorf("%s: got no error, want one", name)
		} else if !strings.HasPrefix(err.Error(), "status: Config.Transports") {
			t.Errorf("%s: got %v, want the field named", name, err)
		}
	}
}

func TestTheChartsHaveFifteenMinutesAndTheTimerEndsWithClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, err := transport.New(transport.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer tr.Close()
		page := newPage(t, status.Config{Transports: []*transport.Transport{tr}, WithoutHost: true})
		past := func() []status.Point { return report(t, page, "/").Transports[0].History }
		if got := len(past()); got != 2 {
			t.Errorf("at once: got %d points, want that of the beginning and that of now", got)
		}
		<-time.After(time.Minute + time.Second)
		if got := past(); len(got) != 1+12+1 || got[13].At.Sub(got[12].At) != time.Second || got[12].At.Sub(got[11].At) != 5*time.Second {
			t.Errorf("after a minute: got %v, want a point every 5 s, and that of now", got)
		}
		<-time.After(time.Hour)
		if got := past(); len(got) != 181 || got[180].At.Sub(got[0].At) < 179*5*time.Second {
			t.Errorf("after an hour: got %d points over %v, want 180 over 15 minutes and that of now", len(got), got[len(got)-1].At.Sub(got[0].At))
		}
		page.Close()
		page.Close()
		before := past()[:180]
		<-time.After(time.Hour)
		if got := past()[:180]; !slices.Equal(got, before) {
			t.Error("after Close the charts went on")
		}
	})
}

func TestWithoutAnIntervalNothingRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, err := transport.New(transport.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer tr.Close()
		page := newPage(t, status.Config{Transports: []*transport.Transport{tr}, WithoutHost: true, Interval: -1})
		<-time.After(time.Hour)
		if got := len(report(t, page, "/").Transports[0].History); got != 2 {
			t.Errorf("got %d points, want the first one and that of now", got)
		}
	}) // without Close: a timer would keep the bubble from ending
}

func TestHowManyLookMakesNoDifference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, err := transport.New(transport.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer tr.Close()
		page := newPage(t, status.Config{Transports: []*transport.Transport{tr}, WithoutHost: true, Interval: -1})
		first := report(t, page, "/").Taken
		<-time.After(time.Second - time.Millisecond)
		if got := report(t, page, "/").Taken; !got.Equal(first) {
			t.Errorf("got figures of %v, want those of %v for a second", got, first)
		}
		<-time.After(time.Millisecond)
		if got := report(t, page, "/").Taken; got.Equal(first) {
			t.Error("after a second: got old figures, want new ones")
		}
	})
}

// heldWriter is a reader that takes nothing until it is let go.
type heldWriter struct {
	*httptest.ResponseRecorder
	writing, letGo chan struct{}
}

func (w heldWriter) Write(p []byte) (int, error) {
	close(w.writing)
	<-w.letGo
	return w.ResponseRecorder.Write(p)
}

func TestASlowReaderHoldsNobodyUp(t *testing.T) {
	for _, target := range []string{"/", "/?format=json"} {
		r := newRig(t, status.Config{})
		r.send(t, "a.example:80")
		w := heldWriter{httptest.NewRecorder(), make(chan struct{}), make(chan struct{})}
		done := make(chan struct{})
		go func() {
			r.page.ServeHTTP(w, httptest.NewRequest("GET", target, nil))
			close(done)
		}()
		<-w.writing
		// Each of these would hang if anything were held.
		r.send(t, "a.example:80")
		r.send(t, "new.example:80")
		r.tr.CloseIdleConnections()
		if got := get(r.page, target); got.Code != http.StatusOK {
			t.Errorf("%s: got %d while somebody reads slowly, want 200", target, got.Code)
		}
		close(w.letGo)
		<-done
	}
}
