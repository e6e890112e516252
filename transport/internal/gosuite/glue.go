package gosuite

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// glue is the name of the file that the sandbox adds to Go's own.
const glue = "gosuite_glue_test.go"

// standInsFor says which package below standin has the stand-ins for a package
// of the standard library. Those for net/http are spelled as export_test.go
// spells them; those for the others, whose tests are inside the package, begin
// with a small letter there.
var standInsFor = map[string]string{
	"net/http":          "nethttp",
	"net/http/httptest": "httptest",
	"net/http/httputil": "httputil",
}

// standIns lists the names of a package's test files, or of the package itself,
// that have a stand-in, with the declaration of each.
func (w *Workspace) standIns(pkg string) (map[string]string, error) {
	dir, ok := standInsFor[pkg]
	if !ok {
		return nil, nil
	}
	files, err := filepath.Glob(filepath.Join(w.selfDir, "standin", dir, "*.go"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("gosuite: no stand-ins for %s (%v)", pkg, err)
	}
	lines := make(map[string]string)
	for _, f := range files {
		file, err := parser.ParseFile(token.NewFileSet(), f, nil, 0)
		if err != nil {
			return nil, fmt.Errorf("gosuite: %w", err)
		}
		for _, d := range declsOf(&source{ast: file}) {
			kind := "var"
			if d.declaresType() {
				kind = "type"
			}
			for _, n := range d.names {
				if !ast.IsExported(n) || d.receiver() != "" {
					continue
				}
				name := n
				if pkg != "net/http" {
					r, size := utf8.DecodeRuneInString(n)
					name = string(unicode.ToLower(r)) + n[size:]
				}
				lines[name] = kind + " " + name + " = standin." + n
			}
		}
	}
	return lines, nil
}

// glueText is the file that ties the sandbox to the packages beside this one:
// it hands main to the adapter, which knows which transport is under test, and
// declares the stand-ins.
func glueText(w *Workspace, b *bridge) string {
	var t strings.Builder
	fmt.Fprintf(&t, "package %s_test\n\nimport (\n\t\"testing\"\n\n\t%q\n", path.Base(b.pkg), w.self+"/adapter")
	if len(b.standIns) > 0 {
		fmt.Fprintf(&t, "\tstandin %q\n", w.self+"/standin/"+standInsFor[b.pkg])
	}
	t.WriteString(")\n\nfunc TestMain(m *testing.M) { adapter.Main(m) }\n")
	for _, name := range slices.Sorted(maps.Keys(b.standIns)) {
		fmt.Fprintf(&t, "\n%s\n", b.standIns[name])
	}
	return t.String()
}
