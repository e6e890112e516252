package main

import (
	"cmp"
	"slices"
)

// figures is what came of a crawl.
type figures struct {
	Hosts int `json:"hosts"`
	// Pages were fetched to their end, redirects among them; Robots are the
	// robots.txt that were asked for and answered, if only by 404.
	Pages  int `json:"pages"`
	Robots int `json:"robots"`
	// Failed requests, for pages or robots.txt, by kind in Failures.
	Failed   int                 `json:"failed"`
	Failures map[string]*failure `json:"failures,omitempty"`
	// Not fetched: forbidden by robots.txt, or because that could not be had;
	// leading outside; farther than -depth; left over by -pages or an interruption;
	// interrupted halfway.
	Forbidden   int `json:"forbidden"`
	Outside     int `json:"outside"`
	TooDeep     int `json:"tooDeep"`
	NotReached  int `json:"notReached"`
	Interrupted int `json:"interrupted"`

	Bytes   int64   `json:"bytes"`
	Seconds float64 `json:"seconds"`

	byHost []hostFigures
}

// fail counts a failed request.
func (f *figures) fail(r result) {
	f.Failed++
	kind := failureKind(r.err)
	k := f.Failures[kind]
	if k == nil {
		k = &failure{First: r.url.String() + ": " + r.err.Error()}
		f.Failures[kind] = k
	}
	k.Count++
}

// top returns the n hosts with the most pages.
func (f figures) top(n int) []hostFigures {
	all := slices.Clone(f.byHost)
	slices.SortFunc(all, func(a, b hostFigures) int {
		return cmp.Or(cmp.Compare(b.Pages, a.Pages), cmp.Compare(b.Avoided, a.Avoided), cmp.Compare(a.Host, b.Host))
	})
	return all[:min(n, len(all))]
}

// kinds lists the kinds of failures, those with the most first.
func (f figures) kinds() []string {
	var names []string
	for k := range f.Failures {
		names = append(names, k)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(f.Failures[b].Count, f.Failures[a].Count), cmp.Compare(a, b))
	})
	return names
}
