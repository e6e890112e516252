package gosuite

import (
	"go/importer"
	"go/token"
	"strings"
	"testing"
)

// newProgram is a program of one file, ready to be pruned. Its package is
// net/http; the stand-ins given are declared in the glue.
func newProgram(t *testing.T, text string, standIns ...string) *program {
	t.Helper()
	b := &bridge{pkg: "net/http", sandbox: "sandbox/net/http", standIns: map[string]string{}}
	glueFile := "package http_test\n"
	for _, s := range standIns {
		name, _, _ := strings.Cut(s, " ")
		b.standIns[name] = "var " + s
		glueFile += "var " + s + "\n"
	}
	p := &program{
		suite:       Suite{"net/http", []string{"a_test.go"}},
		adapter:     "adapter",
		fset:        token.NewFileSet(),
		files:       []*source{{name: "a_test.go", text: text, named: true}, {name: glue, text: glueFile}},
		internal:    map[string]string{"SetHook": "export_test.go", "InternalForTesting": "export_test.go"},
		importer:    importer.Default(),
		unreachable: map[string]bool{"internal/secret": true},
	}
	for _, f := range p.files {
		if err := b.parse(p.fset, f); err != nil {
			t.Fatal(err)
		}
		p.decls = append(p.decls, declsOf(f)...)
	}
	return p
}

// rewritten is what comes of the program's first file.
func rewritten(t *testing.T, p *program) string {
	t.Helper()
	p.narrow()
	if err := p.prune(); err != nil {
		t.Fatal(err)
	}
	p.reach()
	text, err := p.text(p.files[0], newRerouter(p).edits(p.files[0]))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

const head = `package http_test
import ("errors"; . "net/http"; "net/http/httptest"; "net/http/httputil"; "testing")
var _, _, _ = errors.Is, httptest.NewServer, httputil.ReverseProxy{}
`

func TestEveryUseAsATransportIsRerouted(t *testing.T) {
	// Each line is the body of a test that knows tr, c, ts, rt, req and err.
	for line, want := range map[string]string{
		`_ = &Client{Transport: tr}`:                               `_ = &Client{Transport: gosuiteadapter.RoundTripper(tr)}`,
		`_ = Client{tr, nil, nil, 0}`:                              `_ = Client{gosuiteadapter.RoundTripper(tr), nil, nil, 0}`,
		`c.Transport = &Transport{DisableKeepAlives: true}`:        `c.Transport = gosuiteadapter.RoundTripper(&Transport{DisableKeepAlives: true})`,
		`_ = httputil.ReverseProxy{Transport: tr}`:                 `_ = httputil.ReverseProxy{Transport: gosuiteadapter.RoundTripper(tr)}`,
		`var x RoundTripper = tr; _ = x`:                           `var x RoundTripper = gosuiteadapter.RoundTripper(tr); _ = x`,
		`_ = RoundTripper(tr)`:                                     `_ = RoundTripper(gosuiteadapter.RoundTripper(tr))`,
		`_ = []RoundTripper{tr, 1: tr}`:                            `_ = []RoundTripper{gosuiteadapter.RoundTripper(tr), 1: gosuiteadapter.RoundTripper(tr)}`,
		`_ = map[string]RoundTripper{"": tr}`:                      `_ = map[string]RoundTripper{"": gosuiteadapter.RoundTripper(tr)}`,
		`_ = func() RoundTripper { return tr }`:                    `_ = func() RoundTripper { return gosuiteadapter.RoundTripper(tr) }`,
		`func(...RoundTripper) {}(rt, tr)`:                         `func(...RoundTripper) {}(rt, gosuiteadapter.RoundTripper(tr))`,
		`make(chan RoundTripper, 1) <- tr`:                         `make(chan RoundTripper, 1) <- gosuiteadapter.RoundTripper(tr)`,
		`_ = rt == tr`:                                             `_ = rt == gosuiteadapter.RoundTripper(tr)`,
		`tr.RoundTrip(req)`:                                        `gosuiteadapter.RoundTripper(tr).RoundTrip(req)`,
		`f := tr.RoundTrip; _ = f`:                                 `f := gosuiteadapter.RoundTripper(tr).RoundTrip; _ = f`,
		`var v Transport; v.CloseIdleConnections()`:                `var v Transport; gosuiteadapter.RoundTripper(&v).CloseIdleConnections()`,
		`DefaultTransport.(*Transport).CancelRequest(req)`:         `gosuiteadapter.RoundTripper(gosuiteadapter.As[*Transport](DefaultTransport)).CancelRequest(req)`,
		`c.Transport.(*Transport).DisableKeepAlives = true`:        `gosuiteadapter.As[*Transport](c.Transport).DisableKeepAlives = true`,
		`x, ok := rt.(*Transport); _, _ = x, ok`:                   `x, ok := gosuiteadapter.AsOK[*Transport](rt); _, _ = x, ok`,
		`switch x := rt.(type) { case *Transport: _ = x }`:         `switch x := gosuiteadapter.Unwrap(rt).(type) { case *Transport: _ = x }`,
		`_ = ts.Client()`:                                          `_ = gosuiteadapter.Client(ts.Client())`,
		`ts.Client().Transport.(*Transport).RoundTrip(req)`:        `gosuiteadapter.RoundTripper(gosuiteadapter.As[*Transport](gosuiteadapter.Client(ts.Client()).Transport)).RoundTrip(req)`,
		`_ = err == ErrSecret`:                                     `_ = gosuiteadapter.SameError(err, ErrSecret)`,
		`_ = !(ErrSecret != err) || errors.Is(err, ErrSecret)`:     `_ = !(!gosuiteadapter.SameError(ErrSecret, err)) || gosuiteadapter.ErrorIs(err, ErrSecret)`,
		`_ = errors.Is(err, ErrUseLastResponse)`:                   `_ = errors.Is(err, ErrUseLastResponse)`,
		`tr.DisableKeepAlives = true; _, _ = tr.Clone(), tr.Proxy`: ``,
		`var x any = tr; y := tr; z := []*Transport{tr}; f := func(*Transport) {}; f(tr); _, _, _ = x, y, z`: ``,
		`_ = tr != nil && tr == c.Transport.(*Transport)`:                                                    `_ = tr != nil && tr == gosuiteadapter.As[*Transport](c.Transport)`,
	} {
		if want == "" {
			want = line
		}
		p := newProgram(t, head+`
func TestA(t *testing.T) { a(nil, nil, nil, nil, nil, nil) }
func a(tr *Transport, c *Client, ts *httptest.Server, rt RoundTripper, req *Request, err error) {
`+line+`
}`, "ErrSecret error")
		got := rewritten(t, p)
		if lines := strings.Split(got, "\n"); lines[len(lines)-2] != want {
			t.Errorf("%s\n got %s\nwant %s", line, lines[len(lines)-2], want)
		}
	}
}

func TestAUseThatCannotBeReroutedLeavesTheTestOut(t *testing.T) {
	for _, line := range []string{
		`_ = (*Transport).RoundTrip`,
		`type embeds struct{ *Transport }; _ = embeds{}`,
		`f := func() (*Transport, error) { return nil, nil }; var rt RoundTripper; rt, _ = f(); _ = rt`,
		`f := func() (*Transport, error) { return nil, nil }; _ = func() (RoundTripper, error) { return f() }`,
		`type closer interface{ CloseIdleConnections(); RegisterProtocol(string, RoundTripper) }; var c closer = new(Transport); _ = c`,
	} {
		p := newProgram(t, head+"func TestA(t *testing.T) {\n"+line+"\n}")
		p.narrow()
		if err := p.prune(); err != nil {
			t.Fatal(err)
		}
		left := p.leftOut()
		if len(left) != 1 || !strings.Contains(left[0].Why, "cannot be rerouted") {
			t.Errorf("%s: got %v left out, want TestA, since it gets past the adapter", line, left)
		}
	}
}

func TestWhatIsNotPublicIsLeftOutWithItsReason(t *testing.T) {
	p := newProgram(t, `package http_test
import ("internal/secret"; "net/http"; "testing")
func TestHook(t *testing.T) { http.SetHook() }
func TestHelped(t *testing.T) { t.Run("", helper) }
func helper(t *testing.T) { new(http.Transport).InternalForTesting() }
func TestSecret(t *testing.T) { secret.Tell() }
func TestUnexported(t *testing.T) { parse() }
func TestPublic(t *testing.T) { _ = http.MethodGet }
`)
	p.narrow()
	if err := p.prune(); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"TestHook":       "uses SetHook of export_test.go",
		"TestHelped":     "uses InternalForTesting of export_test.go",
		"TestSecret":     "uses package internal/secret",
		"TestUnexported": "uses parse, which net/http does not export",
	}
	for _, l := range p.leftOut() {
		if l.Why != want[l.Test] || l.File != "net/http/a_test.go" {
			t.Errorf("%s %s: got %q, want %q", l.File, l.Test, l.Why, want[l.Test])
		}
		delete(want, l.Test)
	}
	if len(want) > 0 || len(p.tests()) != 1 {
		t.Errorf("got tests %v and %v not left out, want TestPublic and none", p.tests(), want)
	}
	if got, want := rewritten(t, p), "package http_test\nimport (; \"net/http\"; \"testing\")\n\n\n\n\n\nfunc TestPublic(t *testing.T) { _ = http.MethodGet }\n"; got != want {
		t.Errorf("got %q, want %q: lines where they were, and no import without a use", got, want)
	}
}

func TestAPackagesInternalTestsAreBroughtOutside(t *testing.T) {
	p := newProgram(t, `package http // a comment
import "testing"
const text = "net/http_test.TestA"
func TestA(t *testing.T) { _, _ = new(Request).WithT(t), text }
var modes, http1Mode, http2Mode, https1Mode = 0, 0, 0, 0
func run() {
	modes := []int{http1Mode, http2Mode}
	_ = modes
}
func TestB(t *testing.T) { run() }
`)
	got := rewritten(t, p)
	for _, want := range []string{
		`package http_test; import . "net/http" // a comment`,
		`"sandbox/net/http_test.TestA"`,
		`{ _, _ = new(Request), text }`,
		`[]int{http1Mode, http2Mode, https1Mode}`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwant %s in it", got, want)
		}
	}
}

func TestTestsThatCallCancelRequestAreKnown(t *testing.T) {
	p := newProgram(t, head+`
func TestA(t *testing.T) { cancel(nil, nil) }
func TestB(t *testing.T) {}
func cancel(tr *Transport, req *Request) { tr.CancelRequest(req) }
`)
	if got := p.cancelers(); len(got) != 1 || !got["TestA"] {
		t.Errorf("got %v, want TestA alone", got)
	}
}
