package checks

import (
	"go/ast"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	// maxFileLines is where a file has stopped to be about one thing.
	maxFileLines = 400
	// maxExportTestLines keeps what tests reach inside a package to a few names.
	maxExportTestLines = 20
)

func TestEveryFileIsAboutOneThing(t *testing.T) {
	for _, f := range files(t, "*.go") {
		lines := f.lines()
		switch {
		case path.Base(f.name) == "export_test.go" && lines >= maxExportTestLines:
			t.Errorf("%s: got %d lines, want fewer than %d: tests should use what users use", f.name, lines, maxExportTestLines)
		case !f.isTest() && lines > maxFileLines:
			t.Errorf("%s: got %d lines, want at most %d: which noun in it deserves a file of its own?", f.name, lines, maxFileLines)
		}
	}
}

func TestNoTestSleeps(t *testing.T) {
	for _, f := range goFiles(t) {
		if !f.isTest() {
			continue
		}
		for _, line := range sleeps(f) {
			t.Errorf("%s:%d: got a call of time.Sleep, want a wait for the thing itself, or <-time.After in a synctest bubble: a real sleep is too short on a busy machine and too long on every other", f.name, line)
		}
	}
}

func TestSleepsAreFoundUnderAnyName(t *testing.T) {
	for source, want := range map[string][]int{
		`import "time"; func f() { time.Sleep(1) }`:                        {2},
		`import clock "time"; func f() { clock.Sleep(1) }`:                 {2},
		"import \"time\"\n\nfunc f() { <-time.After(1) } // time.Sleep(1)": nil,
		`import "other/time"; func f() { time.Sleep(1) }`:                  nil,
		`import "time"; var s = "time.Sleep(1)"; var _ time.Duration`:      nil,
	} {
		got := sleeps(parseText(t, "a_test.go", "package p\n"+source))
		if !slices.Equal(got, want) {
			t.Errorf("%s: got lines %v, want %v", source, got, want)
		}
	}
}

// sleeps returns the lines on which the file uses time.Sleep.
func sleeps(f goFile) []int {
	name := importName(f, "time")
	if name == "" {
		return nil
	}
	var lines []int
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if isSelector(n, name, "Sleep") {
			lines = append(lines, f.line(n))
		}
		return true
	})
	return lines
}

// importName is the name under which the file knows the package with this
// import path, empty if it does not import it.
func importName(f goFile, importPath string) string {
	for _, spec := range f.ast.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err != nil || p != importPath {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(importPath)
	}
	return ""
}

// isSelector reports whether n is pkg.name.
func isSelector(n ast.Node, pkg, name string) bool {
	selector, ok := n.(*ast.SelectorExpr)
	if !ok || selector.Sel.Name != name {
		return false
	}
	x, ok := selector.X.(*ast.Ident)
	return ok && x.Name == pkg
}

func TestNoUnexpectedRoom(t *testing.T) {
	known := append([]string{".", ".ci", "examples", "internal"}, rooms...)
	seen := map[string]bool{}
	for _, f := range files(t, "*") {
		seen[f.room()] = true
	}
	for room := range seen {
		if !slices.Contains(known, room) && !strings.HasPrefix(room, ".") {
			t.Errorf("got a top-level folder %s, want one of %q: put it into the room it belongs to", room, known)
		}
	}
	for _, room := range rooms {
		if !seen[room] {
			t.Errorf("got no folder %s, want one: it is a package that users import", room)
		}
	}
}
