package checks

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	inlineLink = regexp.MustCompile(`\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)`)
	linkTarget = regexp.MustCompile(`(?m)^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)>?`)
	absolute   = regexp.MustCompile(`^(?:[a-z][a-z0-9+.-]*:|//)`)
	heading    = regexp.MustCompile(`(?m)^#{1,6}\s+(.+?)\s*#*$`)
	codeSpan   = regexp.MustCompile("`[^`\n]*`")
	// notInAnchor is what GitHub leaves out when it makes an anchor of a heading.
	notInAnchor = regexp.MustCompile(`[^\p{L}\p{N}\p{M}_ -]`)
)

func TestRelativeLinksResolve(t *testing.T) {
	documents := files(t, "*.md")
	anchors := map[string][]string{}
	for _, f := range documents {
		anchors[f.name] = anchorsOf(string(f.text))
	}
	for _, f := range documents {
		for _, link := range relativeLinks(string(f.text)) {
			if problem := follow(f.name, link, anchors); problem != "" {
				t.Errorf("%s: got a link to %s, %s", f.name, link, problem)
			}
		}
	}
}

func TestRelativeLinksAreFoundAndFollowed(t *testing.T) {
	const text = "# A `Title`, twice\n[a](b.md) [c](https://d) ![e](f.png \"g\") `[h](i)`\n" +
		"```sh\n# no heading\n[j](k)\n```\n[l]: m.md#n\n[o](#a-title-twice)\n# A `Title`, twice\n"
	if got, want := relativeLinks(text), []string{"b.md", "f.png", "#a-title-twice", "m.md#n"}; !slices.Equal(got, want) {
		t.Errorf("links: got %q, want %q", got, want)
	}
	if got, want := anchorsOf(text), []string{"a-title-twice", "a-title-twice-1"}; !slices.Equal(got, want) {
		t.Errorf("anchors: got %q, want %q", got, want)
	}
	anchors := map[string][]string{"CONTRIBUTING.md": {"test"}, "internal/checks/x.md": nil}
	for _, test := range []struct {
		from, link string
		want       bool
	}{
		{"CONTRIBUTING.md", "internal/checks/doc.go", true},
		{"CONTRIBUTING.md", "internal", true},
		{"CONTRIBUTING.md", "#test", true},
		{"CONTRIBUTING.md", "#tests", false},
		{"CONTRIBUTING.md", "missing.md", false},
		{"internal/checks/x.md", "doc.go", true},
		{"internal/checks/x.md", "../../CONTRIBUTING.md#test", true},
		{"internal/checks/x.md", "../../CONTRIBUTING.md#tests", false},
		{"CONTRIBUTING.md", "../outside", false},
	} {
		if problem := follow(test.from, test.link, anchors); (problem == "") != test.want {
			t.Errorf("from %s to %s: got %q, want a problem: %v", test.from, test.link, problem, !test.want)
		}
	}
}

// relativeLinks lists the targets in a Markdown text that lie in the repository.
func relativeLinks(text string) []string {
	prose := codeSpan.ReplaceAllString(outsideFences(text), "")
	var found []string
	for _, pattern := range []*regexp.Regexp{inlineLink, linkTarget} {
		for _, match := range pattern.FindAllStringSubmatch(prose, -1) {
			if !absolute.MatchString(match[1]) {
				found = append(found, match[1])
			}
		}
	}
	return found
}

// follow says what is wrong with a link in the document from, nothing if it
// leads to a file or folder and, where that is Markdown, to a heading in it.
func follow(from, link string, anchors map[string][]string) (problem string) {
	target, anchor, _ := strings.Cut(link, "#")
	name := from
	if target != "" {
		name = path.Join(path.Dir(from), target)
	}
	if !filepath.IsLocal(name) {
		return "want one inside the repository"
	}
	if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(name))); err != nil {
		return "want a file or folder that exists"
	}
	if known, ok := anchors[name]; ok && anchor != "" && !slices.Contains(known, anchor) {
		return fmt.Sprintf("want one of the headings %q", known)
	}
	return ""
}

// anchorsOf lists the anchors of the headings in a Markdown text as GitHub makes
// them: a heading that repeats gets a number.
func anchorsOf(text string) []string {
	var anchors []string
	seen := map[string]int{}
	for _, match := range heading.FindAllStringSubmatch(outsideFences(text), -1) {
		anchor := strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(match[1]), ""), " ", "-")
		n := seen[anchor]
		seen[anchor]++
		if n > 0 {
			anchor = fmt.Sprintf("%s-%d", anchor, n)
		}
		anchors = append(anchors, anchor)
	}
	return anchors
}
