package checks

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// module is the import path of the repository's root.
const module = "github.com/stayopen-go/stayopen"

// rooms are the packages that users import, each a folder of that name.
var rooms = []string{"pool", "dialer", "transport"}

// published are all packages that users import: the rooms and what is in them.
var published = []string{"pool", "pool/netconn", "pool/poolmetrics", "dialer", "dialer/dialmetrics", "dialer/hostcheck", "transport", "transport/shadow", "transport/status"}

// root is the repository's root, seen from this package's folder, in which go
// test runs its tests.
const root = "../.."

// file is a text file of the repository.
type file struct {
	name string // slash-separated, relative to the root
	text []byte
}

// goFile is a parsed Go file of the repository.
type goFile struct {
	file
	fset *token.FileSet
	ast  *ast.File
}

// isTest reports whether the file is compiled for tests only.
func (f file) isTest() bool { return strings.HasSuffix(f.name, "_test.go") }

// room is the top-level folder the file lies in, "." for the root.
func (f file) room() string {
	first, _, below := strings.Cut(f.name, "/")
	if !below {
		return "."
	}
	return first
}

// lines is the number of lines in the file.
func (f file) lines() int {
	n := bytes.Count(f.text, []byte("\n"))
	if len(f.text) > 0 && !bytes.HasSuffix(f.text, []byte("\n")) {
		n++
	}
	return n
}

// line is the number of the line that the node begins on.
func (f goFile) line(n ast.Node) int { return f.fset.Position(n.Pos()).Line }

// files returns every text file of the repository whose base name matches the
// pattern (path.Match's).
func files(t *testing.T, pattern string) []file {
	t.Helper()
	var found []file
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if entry.Name() == ".git" {
				return fs.SkipDir
			}
			return nil
		}
		if match, err := path.Match(pattern, entry.Name()); err != nil || !match {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil || slices.Contains(text, 0) { // a NUL: not text
			return err
		}
		relative, err := filepath.Rel(root, name)
		found = append(found, file{filepath.ToSlash(relative), text})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatalf("no file matches %q: this check looked at nothing", pattern)
	}
	return found
}

// goFiles returns every Go file of the repository, for whatever system it is.
// Those in a testdata folder are somebody's input, not code.
func goFiles(t *testing.T) []goFile {
	t.Helper()
	var parsed []goFile
	for _, f := range files(t, "*.go") {
		if strings.Contains("/"+f.name, "/testdata/") {
			continue
		}
		parsed = append(parsed, parse(t, f))
	}
	return parsed
}

func parse(t *testing.T, f file) goFile {
	t.Helper()
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, f.name, f.text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return goFile{f, fset, tree}
}

// parseText parses source that a test of a check wrote, under the name given.
func parseText(t *testing.T, name, source string) goFile {
	t.Helper()
	return parse(t, file{name, []byte(source)})
}
