package main

import (
	"errors"
	"flag"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayopen-go/stayopen/transport"
)

func TestTheLongestRuleOfRobotsTxtDecides(t *testing.T) {
	for _, tc := range []struct{ robots, path, want string }{
		{"", "/a", "yes"},
		{"User-agent: *\nDisallow: /a", "/a", "no"},
		{"User-agent: *\nDisallow: /a", "/ab/c", "no"},
		{"User-agent: *\nDisallow: /a", "/b/a", "yes"},
		{"User-agent: *\nDisallow:", "/a", "yes"},
		{"User-agent: *\nDisallow: /\nAllow: /a", "/ab", "yes"},
		{"User-agent: *\nAllow: /a\nDisallow: /ab", "/ab", "no"},
		{"User-agent: *\nDisallow: /a\nAllow: /a", "/a", "yes"},
		{"User-agent: *\nDisallow: /*.php$", "/x/y.php", "no"},
		{"User-agent: *\nDisallow: /*.php$", "/x/y.php?z", "yes"},
		{"User-agent: *\nDisallow: /*?*id=", "/x?a=1&id=2", "no"},
		{"User-agent: *\nDisallow: /a$", "/a", "no"},
		{"User-agent: *\nDisallow: /a$", "/ab", "yes"},
		{"User-agent: *\nDisallow: /a*b*c", "/axxbxx", "yes"},
		{"\ufeffUSER-AGENT: Bot # us\r\nDISALLOW : /a # them\r\n", "/a", "no"},
		{"User-agent: *\nDisallow: /\n\nUser-agent: bot\nDisallow: /b", "/a", "yes"},
		{"User-agent: other\nDisallow: /a\nUser-agent: bot\nDisallow: /b", "/a", "yes"},
		{"User-agent: other\nUser-agent: bot\nDisallow: /a", "/a", "no"},
		{"User-agent: bot\nDisallow: /b\nUser-agent: *\nDisallow: /c\nUser-agent: Bot\nDisallow: /a", "/a", "no"},
		{"Disallow: /a", "/a", "yes"},
	} {
		u := &url.URL{Scheme: "http", Host: "a.test"}
		u = u.ResolveReference(must(url.Parse(tc.path)))
		if got := parseRobots(strings.NewReader(tc.robots), "bot").allows(u); got != (tc.want == "yes") {
			t.Errorf("%q: may %s be fetched? got %v, want %s", tc.robots, tc.path, got, tc.want)
		}
	}
}

func TestAHostCannotAskForAnyDelay(t *testing.T) {
	for text, want := range map[string]time.Duration{"2": 2 * time.Second, "0.5": 500 * time.Millisecond, "1e99": maxCrawlDelay, "-1": 0, "soon": 0, "NaN": 0} {
		if got := parseRobots(strings.NewReader("User-agent: *\nCrawl-delay: "+text), "bot").delay; got != want {
			t.Errorf("Crawl-delay: %s: got %v, want %v", text, got, want)
		}
	}
}

func TestLinksHaveOneSpelling(t *testing.T) {
	page := must(url.Parse("http://a.test/dir/page?q#f"))
	for link, want := range map[string]string{
		"x": "http://a.test/dir/x", "/x#y": "http://a.test/x", "?z": "http://a.test/dir/page?z", "": "http://a.test/dir/page?q",
		"//B.test": "http://b.test/", "HTTPS://b.test:443/": "https://b.test/", "http://b.test:80": "http://b.test/",
		" \n x ": "http://a.test/dir/x", "http://b.test:443/": "http://b.test:443/", "/x?": "http://a.test/x",
		"http://[2001:DB8::1]:80/": "http://[2001:db8::1]/",
		"mailto:a@b.test":          "", "javascript:void(0)": "", "ftp://b.test/": "", "http://u:p@b.test/": "", "http:///x": "", "%zz": "",
	} {
		got := ""
		if u := resolve(page, link); u != nil {
			got = u.String()
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", link, got, want)
		}
	}
}

func TestAPageIsReadToItsEndWhateverIsInIt(t *testing.T) {
	page := must(url.Parse("http://a.test/"))
	for text, want := range map[string][]string{
		`<A HREF=/1>x</A><area href=/2><iframe src="/3"></iframe><frame src='/4'><img src=/5><a name=x>`: {"/1", "/2", "/3", "/4"},
		`<a href=/1></a><a class=x href="/1" id=y>`:                                                      {"/1"},
		`<!-- <a href=/1> --><script>"<a href=/2>"</script><a href="/3&amp;4">`:                          {"/3&4"},
		`<a href=/1><a href="` + strings.Repeat("x", 2<<20) + `"><a href=/2>`:                            {"/1"},
		`<base href="/sub/"><a href=1>`:                                                                  {"/sub/1"},
		`<a href="/1`:                                                                                    nil,
	} {
		r := strings.NewReader(text)
		found, err := links(r, page)
		var got []string
		for _, u := range found {
			got = append(got, u.RequestURI())
		}
		if err != nil || !slices.Equal(got, want) || r.Len() > 0 {
			t.Errorf("%.80q: got %q, %v and %d bytes unread, want %q and all read", text, got, err, r.Len(), want)
		}
	}
}

func TestStartURLsComeFromArgumentsAndFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(file, []byte("# hosts\n\n example.net \nhttp://example.com/x#y\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := []string{"https://example.org/", "https://example.net/", "http://example.com/x"}
	for _, args := range [][]string{{"-file", file, "example.org", "https://example.org:443"}, {"-file=-", "example.org"}} {
		text := must(os.ReadFile(file))
		o, err := parseOptions(args, strings.NewReader(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, u := range o.start {
			got = append(got, u.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", args, got, want)
		}
	}
}

func TestFlagsThatMakeNoSenseEndWithCodeTwoAndSayWhich(t *testing.T) {
	for _, tc := range []struct{ args, says string }{
		{"", "no start URL"},
		{"ftp://a.test/", `"ftp://a.test/" cannot be crawled`},
		{"http://u:p@a.test/", "no password"},
		{"http:///x", "want http:// or https://, a host"},
		{"-file=no-such-file", "-file: open no-such-file"},
		{"-concurrency=0 a.test", "-concurrency is 0"},
		{"-per-host=1001 a.test", "-per-host is 1001"},
		{"-depth=-1 a.test", "-depth is -1"},
		{"-pages=-1 a.test", "-pages is -1"},
		{"-max-size=0 a.test", "-max-size is 0"},
		{"-delay=-1s a.test", "-delay is -1s"},
		{"-timeout=0s a.test", "-timeout is 0s"},
		{"-agent= a.test", `-agent is ""`},
		{"-source=example.org a.test", "want an address"},
		{"-source=127.0.0.1 -source=127.0.0.0/8 a.test", "Sources"},
		{"-top=-1 a.test", "-top is -1"},
		{"-demo a.test", "no start URLs can be given"},
		{"-demo -demo-sites=0", "-demo-sites is 0"},
		{"-demo -demo-pages=1001", "-demo-pages is 1001"},
		{"-compare a.test", "-compare is for -demo"},
		{"-demo-sites=3 a.test", "-demo-sites is for -demo"},
		{"-no-such-flag", "no-such-flag"},
	} {
		var stdout, stderr strings.Builder
		if code := run(t.Context(), strings.Fields(tc.args), nil, &stdout, &stderr); code != exitUsage {
			t.Errorf("%s: got exit code %d, want %d", tc.args, code, exitUsage)
		}
		if !strings.Contains(stderr.String(), tc.says) {
			t.Errorf("%s: stderr says %q, want it to mention %q", tc.args, &stderr, tc.says)
		}
		if stdout.Len() > 0 {
			t.Errorf("%s: stdout got %q, want nothing: a script reads it", tc.args, &stdout)
		}
	}
}

func TestHelpListsEveryFlagAndIsNoFailure(t *testing.T) {
	var stderr strings.Builder
	if code := run(t.Context(), []string{"-h"}, nil, io.Discard, &stderr); code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
	newFlagSet(new(options)).VisitAll(func(f *flag.Flag) {
		if !strings.Contains(stderr.String(), "-"+f.Name) {
			t.Errorf("the help does not mention -%s", f.Name)
		}
	})
}

func TestProgressIsOneLineOnATerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		s := new(shown)
		s.pages.Store(1_234_567)
		c := client{name: "stayopen", stats: func() transport.Stats { return transport.Stats{Open: 12_345} }}
		ph := newProgress(&b, true).begin(c, s)
		<-time.After(450 * time.Millisecond)
		ph.end()
		lines := strings.Split(b.String(), "\r\x1b[K")
		if len(lines) != 6 || strings.Count(b.String(), "\n") != 1 || !strings.HasSuffix(b.String(), "\n") {
			t.Errorf("got %q, want 4 refreshes and the end, which has the only newline", b.String())
		}
		if last := lines[len(lines)-1]; !strings.Contains(last, "1,234,567 pages") || !strings.Contains(last, "12,345 open") || len(last) > 100 {
			t.Errorf("got %q, want the crawl's figures in a line", last)
		}
	})
}

func TestTheSummaryShowsEveryFigure(t *testing.T) {
	st := transport.Stats{Opened: 1200, Closed: 30, ClosesAvoided: 9000, Retries: 4}
	r := report{crawls: []outcome{{
		Name: "stayopen", Stats: &st,
		figures: figures{Hosts: 1, Pages: 10_000, Robots: 1, Failed: 2, Bytes: 12_340_000, Seconds: 4, TooDeep: 7, Failures: map[string]*failure{"timeout": {Count: 2, First: "http://a.test/\x1b[2J: too late"}}},
		Top:     []hostFigures{{Host: "a.test", Pages: 10_000, Failed: 2, Opened: 1200, Avoided: 9000, Bytes: 12_340_000}},
	}}}
	var b strings.Builder
	if err := r.writeTable(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"stayopen: 1 host in 4.0 s", "pages fetched                    10,000\n  a second                        2,500\n  megabytes                        12.3\n",
		"retries                             4", "connections opened                1,200\n  closed while it ran                30\ncloses avoided                    9,000\n",
		`        2  timeout                    http://a.test/\x1b[2J: too late`, "        7  farther from a start page",
		"a.test                                 10,000        2    1,200    9,000   12,340",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the summary does not say %q:\n%s", want, b.String())
		}
	}
	r = report{crawls: []outcome{{Name: "default"}}}
	b.Reset()
	if err := r.writeTable(&b); err != nil || strings.Count(b.String(), notMeasured) != 5 {
		t.Errorf("got %v and\n%s\nwant n/a for each of the 5 figures that nobody counted", err, b.String())
	}
}

func TestWhatHasNoNameOfItsOwnIsOther(t *testing.T) {
	if got := failureKind(errors.New("odd")); got != "other" {
		t.Errorf("got %q, want other", got)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
