package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// web is a server that logs what it is asked for.
type web struct {
	*httptest.Server
	mu      sync.Mutex
	log     []string
	clients map[netip.Addr]bool
}

// newWeb serves these HTML pages by path; what begins with a number is a status
// and, after a space, a Location.
func newWeb(t *testing.T, pages map[string]string) *web {
	s := &web{clients: map[netip.Addr]bool{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.log = append(s.log, r.URL.RequestURI())
		s.clients[netip.MustParseAddrPort(r.RemoteAddr).Addr()] = true
		s.mu.Unlock()
		text, ok := pages[r.URL.RequestURI()]
		var status int
		var location string
		if n, _ := fmt.Sscan(text, &status, &location); n > 0 {
			if location != "" {
				w.Header().Set("Location", location)
			}
			w.WriteHeader(status)
			return
		}
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, text)
	}))
	t.Cleanup(s.Close)
	return s
}

// asked returns the log without robots.txt, sorted.
func (s *web) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	log := slices.DeleteFunc(slices.Clone(s.log), func(p string) bool { return p == "/robots.txt" })
	slices.Sort(log)
	return log
}

// crawlOnce crawls from the start URLs, which are the last of args.
func crawlOnce(t *testing.T, ctx context.Context, args ...string) outcome {
	t.Helper()
	o, err := parseOptions(args, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := o.crawl(ctx, newProgress(io.Discard, false))
	if err != nil {
		t.Fatal(err)
	}
	return r.crawls[0]
}

func TestLinksAreFollowedToTheDepthAndWithinTheHosts(t *testing.T) {
	other := newWeb(t, nil)
	s := newWeb(t, map[string]string{
		"/":      `<a href=/1>1</a> <a href=/1#x>1</a> <a href=` + other.URL + `>other</a>`,
		"/1":     `<base href="/sub/"><a href="2">2</a> <a href="../1?">1</a>`,
		"/1?":    `never asked for`,
		"/sub/2": `<iframe src=/3></iframe>`,
		"/3":     `<a href=/4>4</a>`,
	})
	o := crawlOnce(t, t.Context(), "-depth=3", s.URL)
	if got, want := s.asked(), []string{"/", "/1", "/3", "/sub/2"}; !slices.Equal(got, want) {
		t.Errorf("the server was asked for %q, want %q", got, want)
	}
	if got := other.asked(); len(got) > 0 {
		t.Errorf("another host was asked for %q, want nothing", got)
	}
	if o.Pages != 4 || o.TooDeep != 1 || o.Outside != 1 || o.Failed != 0 {
		t.Errorf("got %+v, want 4 pages, 1 too deep and 1 outside", o.figures)
	}
}

func TestNoMorePagesAreFetchedThanAskedFor(t *testing.T) {
	s := newWeb(t, map[string]string{"/": `<a href=/1>1</a> <a href=/2>2</a> <a href=/3>3</a>`, "/1": "x", "/2": "x", "/3": "x"})
	o := crawlOnce(t, t.Context(), "-pages=3", s.URL)
	if got := s.asked(); len(got) != 3 || o.Pages != 3 || o.NotReached != 1 {
		t.Errorf("the server was asked for %q, want 3 pages; got %+v", got, o.figures)
	}
}

func TestARedirectIsALink(t *testing.T) {
	other := newWeb(t, map[string]string{"/": `<a href=/more>more</a>`, "/more": "x", "/not": "x"})
	s := newWeb(t, map[string]string{
		"/": "302 " + other.URL + "/", "/a": "301 /b", "/b": `<a href=/c>c</a> <a href=/a>a</a>`, "/c": "302 " + other.URL + "/not", "/d": "302 /d",
	})
	o := crawlOnce(t, t.Context(), s.URL, s.URL+"/a", s.URL+"/d")
	if got, want := s.asked(), []string{"/", "/a", "/b", "/c", "/d"}; !slices.Equal(got, want) {
		t.Errorf("the first host was asked for %q, want %q, each once", got, want)
	}
	// The start page's redirect made the other host one that is crawled.
	if got, want := other.asked(), []string{"/", "/more", "/not"}; !slices.Equal(got, want) {
		t.Errorf("the other host was asked for %q, want %q", got, want)
	}
	if o.Hosts != 2 || o.Failed != 0 {
		t.Errorf("got %+v, want 2 hosts and no failure", o.figures)
	}
}

func TestRobotsTxtIsObeyedUnlessTurnedOff(t *testing.T) {
	pages := map[string]string{"/": `<a href=/a>a</a> <a href=/b>b</a>`, "/a": "x", "/b": "x"}
	for name, tc := range map[string]struct {
		robots string
		args   []string
		want   []string
	}{
		"rules":            {"<!-- -->\nUser-agent: stayopen-crawler\nDisallow: /b\n", nil, []string{"/", "/a"}},
		"none":             {"404", nil, []string{"/", "/a", "/b"}},
		"not to be had":    {"503", nil, []string{}},
		"turned off":       {"503", []string{"-robots=false"}, []string{"/", "/a", "/b"}},
		"moved":            {"301 /rules", nil, []string{"/", "/a", "/rules"}},
		"moved in circles": {"301 /robots.txt", nil, []string{"/", "/a", "/b"}},
	} {
		t.Run(name, func(t *testing.T) {
			all := map[string]string{"/robots.txt": tc.robots, "/rules": "User-agent: *\nDisallow: /b\n"}
			for path, text := range pages {
				all[path] = text
			}
			s := newWeb(t, all)
			o := crawlOnce(t, t.Context(), append(tc.args, s.URL)...)
			if got := s.asked(); !slices.Equal(got, tc.want) {
				t.Errorf("the server was asked for %q, want %q; got %+v", got, tc.want, o.figures)
			}
		})
	}
}

func TestFailuresAreCountedByKind(t *testing.T) {
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = nolog
	untrusted.StartTLS()
	defer untrusted.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := "http://" + l.Addr().String()
	l.Close()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/short":
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "x")
		case "/slow":
			<-r.Context().Done()
		case "/broken":
			w.WriteHeader(http.StatusInternalServerError)
		default:
			http.NotFound(w, r)
		}
	}))
	defer s.Close()
	o := crawlOnce(t, t.Context(), untrusted.URL, refused, s.URL+"/gone", s.URL+"/gone2", s.URL+"/broken", s.URL+"/short")
	want := map[string]int{"404 Not Found": 2, "500 Internal Server Error": 1, "connection closed early": 1, "certificate not trusted": 1}
	if runtime.GOOS == "windows" {
		want["connectex failed"] = 1
	} else {
		want["connection refused"] = 1
	}
	for kind, n := range want {
		if f := o.Failures[kind]; f == nil || f.Count != n || !strings.HasPrefix(f.First, "http") {
			t.Errorf("%s: got %+v, want %d with the first one's URL", kind, f, n)
		}
	}
	if o.Failed != 6 || len(o.Failures) != len(want) || o.Pages != 0 || o.Robots != 1 || o.Forbidden != 2 {
		t.Errorf("got %+v with %v, want 6 failures, and the pages of the two hosts without robots.txt left out", o.figures, o.kinds())
	}
	if first := o.kinds()[0]; first != "404 Not Found" {
		t.Errorf("the first kind is %q, want the one with the most", first)
	}
	// Apart from the others, which may take as long as they need.
	o = crawlOnce(t, t.Context(), "-timeout=500ms", s.URL+"/slow")
	if f := o.Failures["timeout"]; f == nil || f.Count != 1 || len(o.Failures) != 1 {
		t.Errorf("an answer that does not come: got %v, want one timeout", o.kinds())
	}
}

func TestAnInterruptedCrawlEndsAtOnceWithWhatThereIs(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, `<a href=/slow>slow</a> <a href=/never>never</a>`)
		case "/slow":
			cancel()
			<-r.Context().Done()
		default:
			http.NotFound(w, r)
		}
	}))
	defer s.Close()
	var stdout strings.Builder
	if code := run(ctx, []string{"-per-host=1", s.URL}, nil, &stdout, io.Discard); code != exitInterrupted {
		t.Errorf("got exit code %d, want %d", code, exitInterrupted)
	}
	for _, want := range []string{"pages fetched                         1", "requests failed                       0", "        1  left over", "        1  interrupted halfway", "Interrupted:"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("the summary does not say %q:\n%s", want, &stdout)
		}
	}
}

func TestConnectionsComeFromEverySource(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems have one loopback address")
	}
	pages := map[string]string{"/": ""}
	for i := range 40 {
		pages["/"] += fmt.Sprintf("<a href=/%d>x</a>", i)
		pages[fmt.Sprintf("/%d", i)] = "x"
	}
	s := newWeb(t, pages)
	// The pages come after both connections stand.
	o := crawlOnce(t, t.Context(), "-per-host=8", "-source=127.0.0.8/31", "-source=127.0.0.7", s.URL)
	for a := range s.clients {
		if a != netip.MustParseAddr("127.0.0.7") && a != netip.MustParseAddr("127.0.0.8") && a != netip.MustParseAddr("127.0.0.9") {
			t.Errorf("a connection came from %s, want only the sources", a)
		}
	}
	open := 0
	for _, src := range o.Sources {
		open += src.Open
	}
	if len(s.clients) < 2 || open != o.Stats.Open {
		t.Errorf("connections came from %v and %d of %d are listed by source, want several sources and all", s.clients, open, o.Stats.Open)
	}
}

func TestRequestsToOneHostAreApartByTheDelay(t *testing.T) {
	for robots, want := range map[string]time.Duration{"": 2 * time.Second, "User-agent: *\nCrawl-delay: 3\n": 3 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			o, err := parseOptions([]string{"-delay=2s", "http://a.test/", "http://b.test/"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			rt := &clockwork{robots: robots, starts: map[string][]time.Time{}}
			f := newCrawl(o, newFetcher(o, rt), new(shown)).run(t.Context())
			if f.Pages != 8 {
				t.Errorf("got %d pages, want 4 of each host", f.Pages)
			}
			for host, starts := range rt.starts {
				for i := 1; i < len(starts); i++ {
					if got := starts[i].Sub(starts[i-1]); got != want {
						t.Errorf("%s: request %d came %v after the one before, want %v", host, i, got, want)
					}
				}
			}
		})
	}
}

func TestTheLimitsOnConcurrencyAreReachedAndKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		args := []string{"-concurrency=16", "-per-host=2"}
		for i := range 20 {
			args = append(args, fmt.Sprintf("http://host-%d.test/", i))
		}
		o, err := parseOptions(args, nil)
		if err != nil {
			t.Fatal(err)
		}
		rt := &crowd{RoundTripper: &clockwork{starts: map[string][]time.Time{}}, running: map[string]int{}}
		f := newCrawl(o, newFetcher(o, rt), new(shown)).run(t.Context())
		if f.Pages != 80 || rt.peak != 16 || rt.peakOf != 2 {
			t.Errorf("got %d pages by up to %d requests at a time and %d of one host, want 80 by 16 and 2", f.Pages, rt.peak, rt.peakOf)
		}
	})
}

// crowd counts how many requests are under way at a time: in all, and of one host.
type crowd struct {
	http.RoundTripper
	mu                sync.Mutex
	running           map[string]int // by host
	all, peak, peakOf int
}

func (c *crowd) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	c.all++
	c.running[r.URL.Host]++
	c.peak, c.peakOf = max(c.peak, c.all), max(c.peakOf, c.running[r.URL.Host])
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.all--
		c.running[r.URL.Host]--
	}()
	return c.RoundTripper.RoundTrip(r)
}

// clockwork is a server without a network: each host has a page with three links,
// and every answer takes 100 ms.
type clockwork struct {
	robots string
	mu     sync.Mutex
	starts map[string][]time.Time
}

// RoundTrip answers, and notes when it was asked.
func (c *clockwork) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	c.starts[r.URL.Host] = append(c.starts[r.URL.Host], time.Now())
	c.mu.Unlock()
	<-time.After(100 * time.Millisecond)
	text := "<a href=/1>1</a><a href=/2>2</a><a href=/3>3</a>"
	if r.URL.Path == "/robots.txt" {
		text = c.robots
	}
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/html"}}, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
}

var nolog = log.New(io.Discard, "", 0)
