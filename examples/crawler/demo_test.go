package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"
)

// crawlDemo crawls the demo's sites with the flags.
func crawlDemo(t *testing.T, args ...string) *report {
	t.Helper()
	o, err := parseOptions(append([]string{"-demo"}, args...), nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := o.crawl(t.Context(), newProgress(io.Discard, false))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// wantLog is what the sites must have been asked: each page once, and robots.txt.
func (d *demo) wantLog() map[string]int {
	want := map[string]int{}
	for h, s := range d.sites {
		want[h+"/robots.txt"], want[h+"/"] = 1, 1
		for n := 1; n < s.pages; n++ {
			want[fmt.Sprintf("%s/pages/%d", h, n)] = 1
		}
	}
	return want
}

func TestEveryPageIsFetchedOnceWithinTheLimitsAndTheFiguresAreTheSites(t *testing.T) {
	const sites, pages = 20, 30
	r := crawlDemo(t, "-demo-sites=20", "-demo-pages=30", "-concurrency=16", "-per-host=3")
	o := r.crawls[0]
	if got, want := o.demo.log, o.demo.wantLog(); !maps.Equal(got, want) {
		t.Errorf("the sites' log has %d URLs, want %d, each once:\ngot  %v\nwant %v", len(got), len(want), got, want)
	}
	if o.demo.peak > 16 || o.demo.peakOf > 3 {
		t.Errorf("got up to %d requests at a time and %d of one host, want at most 16 and 3", o.demo.peak, o.demo.peakOf)
	}
	if d := o.disagreements(); len(d) > 0 {
		t.Errorf("the figures disagree: %q", d)
	}
	if o.Hosts != sites || o.Pages != sites*pages || o.Robots != sites || o.Failed != 0 || o.Forbidden != sites*pages || o.Outside != 1 {
		t.Errorf("got %+v, want %d hosts, %d pages of each, as many forbidden, and one host outside", o.figures, sites, pages)
	}
	if o.NotReached+o.TooDeep+o.Interrupted != 0 {
		t.Errorf("got %+v, want nothing left over", o.figures)
	}
	var sum hostFigures
	for _, h := range o.byHost {
		if h.Pages != pages {
			t.Errorf("%s: got %d pages, want %d", h.Host, h.Pages, pages)
		}
		sum.Opened += h.Opened
		sum.Avoided += h.Avoided
	}
	if sum.Opened != o.Truth.Served || sum.Avoided != o.Truth.Avoided {
		t.Errorf("the hosts' figures add up to %d opened and %d avoided, the sites counted %d and %d", sum.Opened, sum.Avoided, o.Truth.Served, o.Truth.Avoided)
	}
}

func TestBothClientsOfAComparisonFetchTheSameAndOneOfThemCloses(t *testing.T) {
	r := crawlDemo(t, "-compare", "-demo-sites=10", "-demo-pages=60", "-per-host=16", "-concurrency=64")
	if len(r.crawls) != 2 {
		t.Fatalf("got %d crawls, want 2", len(r.crawls))
	}
	def, own := r.crawls[0], r.crawls[1]
	for _, o := range r.crawls {
		if got, want := o.demo.log, o.demo.wantLog(); !maps.Equal(got, want) {
			t.Errorf("%s: the sites' log has %d URLs, want %d, each once", o.Name, len(got), len(want))
		}
		if o.Pages != 600 || o.Failed != 0 || o.Truth.Answers != 610 {
			t.Errorf("%s: got %d pages, %d failures and %d answers, want 600, 0 and 610", o.Name, o.Pages, o.Failed, o.Truth.Answers)
		}
	}
	if def.Bytes != own.Bytes {
		t.Errorf("got %d and %d bytes, want as many: else they had different loads", def.Bytes, own.Bytes)
	}
	if def.Truth.Closed == 0 || own.Truth.Closed != 0 {
		t.Errorf("default closed %d connections and stayopen %d, want some and none", def.Truth.Closed, own.Truth.Closed)
	}
	if own.Truth.Avoided <= def.Truth.Avoided {
		t.Errorf("stayopen avoided %d closes and default %d, want more", own.Truth.Avoided, def.Truth.Avoided)
	}
}

func TestTheDemoPrintsItsSummaryAsATableOrAsJSON(t *testing.T) {
	args := []string{"-demo", "-demo-sites=3", "-demo-pages=5"}
	var stdout, stderr strings.Builder
	if code := run(t.Context(), args, nil, &stdout, &stderr); code != 0 {
		t.Fatalf("got exit code %d, want 0:\n%s", code, &stderr)
	}
	for _, want := range []string{"stayopen: 3 hosts in", "pages fetched                        15", "\n       15  robots.txt forbids it", "closes avoided"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("the table does not say %q:\n%s", want, &stdout)
		}
	}
	if !strings.Contains(stderr.String(), "15 pages") || strings.Contains(stderr.String(), "\x1b") {
		t.Errorf("progress: got %q, want the last line, without escapes", &stderr)
	}
	stdout.Reset()
	if code := run(t.Context(), append(args, "-json"), nil, &stdout, io.Discard); code != 0 {
		t.Fatalf("got exit code %d, want 0", code)
	}
	var got struct{ Crawls []outcome }
	if err := json.Unmarshal([]byte(stdout.String()), &got); err != nil {
		t.Fatalf("stdout is not one JSON value: %v:\n%s", err, &stdout)
	}
	if o := got.Crawls[0]; o.Pages != 15 || o.Truth.Answers != 18 || o.Stats.Exchanges != 18 || len(o.Top) != 3 {
		t.Errorf("got %+v, want 15 pages in 18 answers of 3 hosts", o)
	}
}

func TestFiguresThatDisagreeAreAFailure(t *testing.T) {
	r := crawlDemo(t, "-demo-sites=2", "-demo-pages=3")
	r.crawls[0].Truth.Opened++
	var stderr strings.Builder
	if code := r.exitCode(&stderr); code != exitFailed || !strings.Contains(stderr.String(), "connections opened") {
		t.Errorf("got exit code %d and %q, want %d and what disagrees", code, &stderr, exitFailed)
	}
}
