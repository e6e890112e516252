package transport_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stayopen-go/stayopen/transport"
)

// teapot answers everything by itself.
type teapot struct{ asked []string }

func (p *teapot) RoundTrip(req *http.Request) (*http.Response, error) {
	p.asked = append(p.asked, req.URL.String())
	if req.Body != nil {
		req.Body.Close()
	}
	return &http.Response{StatusCode: http.StatusTeapot, Body: io.NopCloser(strings.NewReader("short and stout")), Request: req}, nil
}

func TestOtherSchemesGoToWhatTheTemplateHasRegistered(t *testing.T) {
	var before, after teapot
	tmpl := new(http.Transport)
	tmpl.RegisterProtocol("before", &before)
	tr := newTransport(t, transport.Config{Template: tmpl})
	tmpl.RegisterProtocol("after", &after)
	for scheme, pot := range map[string]*teapot{"before": &before, "after": &after} {
		body, resp, err := get1(tr, newRequest(t, "GET", scheme+"://pot/tea", nil))
		if err != nil {
			t.Errorf("%s: %v", scheme, err)
			continue
		}
		if resp.StatusCode != http.StatusTeapot || body != "short and stout" || len(pot.asked) != 1 {
			t.Errorf("%s: got %d %q, asked for %v, want the answer of what is registered for it", scheme, resp.StatusCode, body, pot.asked)
		}
	}
	if got := tr.Stats(); got != (transport.Stats{}) {
		t.Errorf("counted %+v, want nothing: it was not ours", got)
	}
}

func TestFilesAreServedByTheTemplate(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.txt"), []byte("in a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	tmpl := new(http.Transport)
	tmpl.RegisterProtocol("file", http.NewFileTransport(http.Dir(dir)))
	tr := newTransport(t, transport.Config{Template: tmpl})
	if body, _ := mustGet(t, &http.Client{Transport: tr}, "file:///a.txt"); body != "in a file" {
		t.Errorf("got %q, want the file", body)
	}
}

func TestHTTPSchemesStayHereWhateverTheTemplateHasRegistered(t *testing.T) {
	for _, mode := range []string{"h1", "https1"} {
		t.Run(mode, func(t *testing.T) {
			s := serve(t, mode, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "from the network") }))
			var pot teapot
			tmpl := s.template(mode)
			tmpl.RegisterProtocol(map[string]string{"h1": "http", "https1": "https"}[mode], &pot)
			tr := newTransport(t, transport.Config{Template: tmpl})
			if body, _ := mustGet(t, &http.Client{Transport: tr}, s.URL); body != "from the network" || len(pot.asked) != 0 {
				t.Errorf("got %q, and what is registered was asked for %v, want it left alone", body, pot.asked)
			}
		})
	}
}

func TestUnknownSchemesFailAsWithNetHTTP(t *testing.T) {
	sameOnBoth(t, new(http.Transport), func(t *testing.T, rt http.RoundTripper) string {
		var report []string
		for _, url := range []string{"gopher://site.example/", "HTTPX://site.example/", "//site.example/"} {
			_, _, err := get1(rt, newRequest(t, "GET", url, nil))
			report = append(report, describe(err))
		}
		return strings.Join(report, "\n")
	})
}
