package status_test

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stayopen-go/stayopen/transport/status"
)

func TestTheReportSaysWhatTheTransportsSay(t *testing.T) {
	r := newRig(t, status.Config{Title: "a title"})
	for i := range 20 {
		r.send(t, fmt.Sprintf("host-%d.example:80", i%3))
	}
	r.send(t, "down.example:80")
	got := report(t, r.page, "/")
	s := r.tr.Stats()
	if got.Title != "a title" || len(got.Transports) != 1 {
		t.Fatalf("got %+v, want the title and one transport", got)
	}
	tr := got.Transports[0]
	if tr.Name != "tried" || tr.Requests != 21 || tr.Failed != 1 || tr.Exchanges != s.Exchanges || tr.Opened != s.Opened || tr.ClosesAvoided != s.ClosesAvoided ||
		tr.Open != s.Open || tr.Idle != s.Idle || tr.Busy != s.Open-s.Idle || tr.ReuseRatio != float64(s.ClosesAvoided)/20 {
		t.Errorf("got %+v, want what Stats say: %+v", tr, s)
	}
	var exchanges, failed uint64
	var names []string
	for _, o := range tr.Origins {
		exchanges += o.Exchanges
		failed += o.DialsFailed
		names = append(names, o.Host)
	}
	want := []string{"host-0.example:80", "host-1.example:80", "host-2.example:80", "down.example:80"}
	if exchanges != 20 || failed != 1 || !slices.Equal(names, want) {
		t.Errorf("got origins %q with %d exchanges and %d failed dials, want %q, the busiest first, 20 and 1", names, exchanges, failed, want)
	}
	if got.Host == nil {
		t.Error("got nothing about the host")
	}
}

func TestTheAddressChoosesOrigins(t *testing.T) {
	r := newRig(t, status.Config{WithoutHost: true, MaxRows: 5})
	for i := range 12 {
		for range i + 1 {
			r.send(t, fmt.Sprintf("Host-%02d.example:80", i))
		}
	}
	for target, want := range map[string]struct {
		matched int
		first   string
		shown   int
	}{
		"/":                        {12, "Host-11.example:80", 5},
		"/?limit=3":                {12, "Host-11.example:80", 3},
		"/?limit=100000":           {12, "Host-11.example:80", 12},
		"/?limit=-1":               {12, "Host-11.example:80", 5},
		"/?sort=host":              {12, "Host-00.example:80", 5},
		"/?sort=avoided&limit=1":   {12, "Host-11.example:80", 1},
		"/?sort=nothing":           {12, "Host-11.example:80", 5},
		"/?q=host-0":               {10, "Host-09.example:80", 5},
		"/?q=HTTP://HOST-1":        {2, "Host-11.example:80", 2},
		"/?q=nowhere":              {0, "", 0},
		"/?q=host-0&sort=host":     {10, "Host-00.example:80", 5},
		"/?q=host-0&limit=2&sort=": {10, "Host-09.example:80", 2},
	} {
		tr := report(t, r.page, target).Transports[0]
		if tr.OriginsTotal != 12 || tr.OriginsMatched != want.matched || len(tr.Origins) != want.shown || want.shown > 0 && tr.Origins[0].Host != want.first {
			t.Errorf("%s: got %d of %d matched, %d shown, %+v; want %+v", target, tr.OriginsMatched, tr.OriginsTotal, len(tr.Origins), tr.Origins, want)
		}
	}
	if body := get(r.page, "/?q=host-0&sort=host").Body.String(); !strings.Contains(body, "… and 5 more") || !strings.Contains(body, `href="?limit=100&amp;q=host-0&amp;sort=host"`) {
		t.Error("the page does not say how many more there are, or where")
	}
}

// A program that reads the JSON must find the names that it knows: this list may
// grow, and nothing of it may change.
func TestTheNamesInTheJSONStayWhatTheyAre(t *testing.T) {
	want := map[string]string{
		"Report":    "title taken since transports budgets budgets_total host",
		"Transport": "name requests failed retries exchanges opened closed served wasted reused closes_avoided reuse_ratio tls_handshakes tls_resumed time_waits waited wait_seconds drained_bytes open busy idle active dialing waiting closes origins origins_total origins_matched history",
		"Close":     "reason by n",
		"Origin":    "scheme host proxy source protocol parts open busy idle active dialing waiting exchanges opened dials_failed closed closed_by_peer wasted closes_avoided time_waits waited wait_seconds",
		"Point":     "at exchanges opened closed time_waits open idle waiting",
		"Budget":    "source destination open time_wait size used resumes_at",
		"Host":      "checked error findings time_waits",
		"HostPoint": "at time_waits",
	}
	for _, v := range []any{status.Report{}, status.Transport{}, status.Close{}, status.Origin{}, status.Point{}, status.Budget{}, status.Host{}, status.HostPoint{}} {
		typ := reflect.TypeOf(v)
		var names []string
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			names = append(names, name)
		}
		if got := strings.Join(names, " "); got != want[typ.Name()] {
			t.Errorf("%s: got %s\nwant %s", typ.Name(), got, want[typ.Name()])
		}
	}
	r := newRig(t, status.Config{})
	if body := get(r.page, "/?format=json").Body.String(); strings.Contains(body, ": null") {
		t.Errorf("got a null in %s, want empty lists", body)
	}
}

// TestEveryReasonForClosingIsPutIntoWords reads the reasons where they are
// declared.
func TestEveryReasonForClosingIsPutIntoWords(t *testing.T) {
	texts, err := os.ReadFile("reasons.go")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for file, pattern := range map[string]string{
		"../stats.go":          `\breason\s+= "([a-z_]+)"`,
		"../../pool/config.go": `\bReason = "([a-z_]+)"`,
	} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(pattern).FindAllSubmatch(source, -1) {
			n++
			if !strings.Contains(string(texts), `"`+string(m[1])+`":`) {
				t.Errorf("%s: got no words for the reason %s", file, m[1])
			}
		}
	}
	if n < 18 {
		t.Errorf("found %d reasons; are they declared otherwise now?", n)
	}
}
