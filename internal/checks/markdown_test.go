package checks

import (
	"slices"
	"strings"
	"testing"
)

// block is a fenced block of a Markdown text.
type block struct {
	language string // the first word behind the fence
	line     int    // of its first line
	text     string
}

// split separates a Markdown text into its prose and its fenced blocks.
func split(text string) (prose string, blocks []block) {
	var out strings.Builder
	var current *block
	for i, line := range strings.SplitAfter(text, "\n") {
		language, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case isFence && current == nil:
			language, _, _ = strings.Cut(language, " ")
			current = &block{language: language, line: i + 2}
		case isFence:
			blocks = append(blocks, *current)
			current = nil
		case current != nil:
			current.text += line
		default:
			out.WriteString(line)
		}
	}
	if current != nil { // never closed: the rest of the text is in it
		blocks = append(blocks, *current)
	}
	return out.String(), blocks
}

func outsideFences(text string) string {
	prose, _ := split(text)
	return prose
}

func TestMarkdownIsSplitIntoProseAndBlocks(t *testing.T) {
	prose, blocks := split("a\n```go x\nb\n\n```\nc\n  ```\nd\n  ```\ne\n```sh\nf")
	if want := "a\nc\ne\n"; prose != want {
		t.Errorf("prose: got %q, want %q", prose, want)
	}
	want := []block{{"go", 3, "b\n\n"}, {"", 8, "d\n"}, {"sh", 12, "f"}}
	if !slices.Equal(blocks, want) {
		t.Errorf("blocks: got %+v, want %+v", blocks, want)
	}
}
