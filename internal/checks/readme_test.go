package checks

import (
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// snippet is Go code as gofmt would write it: a whole file, or statements. The
// lines of statements are indented as in a function, and there is a newline
// before the first one too.
type snippet struct {
	program bool
	code    string
	imports []string // of statements: what they need to be imported
}

// example is a snippet of the tree that a document may show.
type example struct {
	name string
	snippet
}

// outputComment is where an Example's expected output begins.
var outputComment = regexp.MustCompile(`(?mi)^\s*//\s*(?:unordered )?output:[\s\S]*\z`)

// TestReadmeShowsCodeThatCompiles asks that each Go block of README.md stands in
// the body of an Example function, all of it or statements in a row, or is a
// whole file if it has a package clause: what the reader copies is what the
// compiler sees.
func TestReadmeShowsCodeThatCompiles(t *testing.T) {
	var examples []example
	for _, f := range goFiles(t) {
		examples = append(examples, examplesIn(f)...)
	}
	for _, f := range files(t, "README.md") {
		_, blocks := split(string(f.text))
		for _, b := range blocks {
			if b.language != "go" {
				continue
			}
			if problem := missing(b.text, examples); problem != "" {
				t.Errorf("%s:%d: %s:\n%s", f.name, b.line, problem, b.text)
			}
		}
	}
}

func TestReadmeBlocksAreComparedWithExamples(t *testing.T) {
	examples := examplesIn(parseText(t, "a_test.go", `package p

import (
	"context"
	"fmt"
)

func ExampleA() {
	fmt.Println(1) // one
	// Two.
	fmt.Println(context.Background())
	if true {
		fmt.Println(2)
	}
	// Output: 1
}

func helper() {
	fmt.Println(3)
}

func ExampleB(n int) {
	fmt.Println(4)
}
`))
	examples = append(examples, examplesIn(parseText(t, "main.go", "// Command x.\npackage main\n\nfunc main() {}\n"))...)
	const (
		inA        = "fmt.Println(1)     // one\n  // Two.\nfmt.Println(context.Background())\n"
		noExample  = "no Example function has these statements in a row"
		noSuchFile = "no file of the tree is this program"
	)
	for block, want := range map[string]string{
		inA:                         "",
		"fmt.Println(1) // one\n":   "",
		"import \"fmt\"\n\n" + inA:  "",
		"import \"net\"\n\n" + inA:  "ExampleA has this code but does not import net",
		"fmt.Println(1)\n// Two.\n": noExample,
		"fmt.Println(2)\n":          noExample, // inside the if
		"fmt.Println(3)\n":          noExample,
		"fmt.Println(4)\n":          noExample,
		"// Command x.\npackage main\nfunc main(){}\n": "",
		"package main\nfunc f(){}\n":                   noSuchFile,
		"if {\n":                                       "it does not parse: ",
		"\n":                                           "it is empty",
	} {
		got := missing(block, examples)
		if got != want && (want == "" || !strings.HasPrefix(got, want)) {
			t.Errorf("%s:\ngot %q, want %q", block, got, want)
		}
	}
}

// missing says why no example shows the block, nothing if one does.
func missing(text string, examples []example) (problem string) {
	shown, err := normalize(text)
	switch {
	case err != nil:
		return fmt.Sprintf("it does not parse: %v", err)
	case strings.TrimSpace(shown.code) == "":
		return "it is empty"
	case shown.program:
		problem = "no file of the tree is this program"
	default:
		problem = "no Example function has these statements in a row"
	}
	for _, e := range examples {
		if !e.shows(shown) {
			continue
		}
		absent := slices.DeleteFunc(slices.Clone(shown.imports), func(p string) bool { return slices.Contains(e.imports, p) })
		if len(absent) == 0 {
			return ""
		}
		problem = fmt.Sprintf("%s has this code but does not import %s", e.name, strings.Join(absent, ", "))
	}
	return problem
}

// shows reports whether s stands in e, imports left aside.
func (e example) shows(s snippet) bool {
	if e.program || s.program {
		return e.program && s.program && e.code == s.code
	}
	return strings.Contains(e.code, s.code)
}

// normalize brings code into the form that gofmt gives it.
func normalize(text string) (snippet, error) {
	fset := token.NewFileSet()
	if _, err := parser.ParseFile(fset, "", text, parser.PackageClauseOnly); err == nil {
		code, err := format.Source([]byte(text))
		return snippet{program: true, code: string(code)}, err
	}
	const clause = "package p\n"
	head, err := parser.ParseFile(fset, "", clause+text, parser.ImportsOnly)
	if err != nil {
		return snippet{}, err
	}
	if n := len(head.Decls); n > 0 {
		text = text[fset.Position(head.Decls[n-1].End()).Offset-len(clause):]
	}
	const before, after = clause + "\nfunc _() {", "}\n"
	code, err := format.Source([]byte(before + "\n" + strings.TrimSpace(text) + "\n" + after))
	body := strings.TrimSuffix(strings.TrimPrefix(string(code), before), after)
	return snippet{code: body, imports: importPaths(head)}, err
}

func importPaths(tree *ast.File) []string {
	var paths []string
	for _, spec := range tree.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

// examplesIn returns what a document may show of the file: all of it, and the
// bodies of its Example functions without the comment that states the output.
func examplesIn(f goFile) []example {
	var examples []example
	add := func(name, text string, imports []string) {
		if s, err := normalize(text); err == nil {
			s.imports = imports
			examples = append(examples, example{name, s})
		}
	}
	add(f.name, string(f.text), nil)
	if !f.isTest() {
		return examples
	}
	for _, decl := range f.ast.Decls {
		function, ok := decl.(*ast.FuncDecl)
		if !ok || function.Recv != nil || !strings.HasPrefix(function.Name.Name, "Example") || function.Type.Params.NumFields() > 0 {
			continue
		}
		body := strings.TrimPrefix(string(f.source(function.Body)), "{")
		body = outputComment.ReplaceAllString(strings.TrimSuffix(body, "}"), "")
		add(function.Name.Name, body, importPaths(f.ast))
	}
	return examples
}
