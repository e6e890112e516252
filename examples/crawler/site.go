package main

import (
	"fmt"
	"hash/fnv"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// site is one host of the demo. Its page 0 is at /, page n at /pages/n; page n links
// to the pages 3n+1, 3n+2 and 3n+3, as far as there are any.
type site struct {
	number int
	pages  int
	next   string // the host of the next site
}

// serve answers like a small site whose pages take their time: a few milliseconds,
// the same for a page in every run.
func (s *site) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/robots.txt" {
		fmt.Fprint(w, "User-agent: *\nDisallow: /private/\n")
		return
	}
	n, ok := s.page(r.URL.Path)
	if !ok {
		http.NotFound(w, r)
		return
	}
	seed := fnv.New32a()
	fmt.Fprint(seed, s.number, r.URL.Path)
	select {
	case <-time.After(time.Duration(1+seed.Sum32()%8) * time.Millisecond):
	case <-r.Context().Done():
		return
	}
	text := s.text(n, int(seed.Sum32()%16))
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	fmt.Fprint(w, text)
}

// page is the number of the page at this path.
func (s *site) page(path string) (n int, ok bool) {
	if path == "/" {
		return 0, true
	}
	digits, ok := strings.CutPrefix(path, "/pages/")
	n, err := strconv.Atoi(digits)
	return n, ok && err == nil && n > 0 && n < s.pages
}

// text is an HTML page with links of every kind: to pages of this site, some of
// them twice, to the next site, to a part of a page, to what robots.txt forbids,
// to a host that is none of the crawl's, and to what is no page.
func (s *site) text(n, kilobytes int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<!doctype html><title>Page %d</title><p>", n)
	for child := 3*n + 1; child <= 3*n+3 && child < s.pages; child++ {
		fmt.Fprintf(&b, `<a href="/pages/%d">page %d</a> <a href='/pages/%[1]d#top'>its top</a> `, child, child)
	}
	fmt.Fprintf(&b, `<a href="/">home</a> <a href="//%s/">next site</a> <a href="/private/%d">private</a>`, s.next, n)
	b.WriteString(` <a href="http://elsewhere.invalid/">elsewhere</a> <a href="mailto:a@elsewhere.invalid">mail</a>`)
	b.WriteString(strings.Repeat("<p>A connection that stays open serves the next request as well.\n", 16*kilobytes))
	return b.String()
}
