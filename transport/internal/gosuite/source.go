package gosuite

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"strconv"
	"strings"
)

// A source is one of Go's test files on its way into the sandbox.
type source struct {
	name  string // base name, kept so that failures name the file in GOROOT
	named bool   // its tests were asked for; otherwise it is here for its helpers
	text  string
	ast   *ast.File
}

// A bridge says how a test file that belongs to a package of the standard
// library is turned into one that stands outside of it.
type bridge struct {
	pkg      string            // the package under test
	sandbox  string            // the import path that its tests get
	imports  map[string]string // what is imported instead of what cannot be
	standIns map[string]string // names that have a stand-in, each with its declaration
}

// parse reads one file and makes the changes that need no types: the package
// clause, the imports, the names with a stand-in, the modes.
func (b *bridge) parse(fset *token.FileSet, s *source) error {
	// The positions of this first reading go to waste with their FileSet: the
	// edits below move them.
	first := token.NewFileSet()
	f, err := parser.ParseFile(first, s.name, s.text, parser.ParseComments)
	if err != nil {
		return fmt.Errorf("gosuite: %w", err)
	}
	at := func(p token.Pos) int { return first.Position(p).Offset }

	var edits []edit
	if !strings.HasSuffix(f.Name.Name, "_test") {
		end := at(f.Name.End())
		edits = append(edits, edit{end, end, "_test; import . " + strconv.Quote(b.pkg)})
	}
	var qualifier string // what the file calls the package under test; "" if nothing
	for _, imp := range f.Imports {
		p, err := strconv.Unquote(imp.Path.Value)
		if err != nil {
			return fmt.Errorf("gosuite: %s: import %s: %w", s.name, imp.Path.Value, err)
		}
		if other, ok := b.imports[p]; ok {
			edits = append(edits, edit{at(imp.Path.Pos()), at(imp.Path.End()), strconv.Quote(other)})
		}
		if p == b.pkg {
			qualifier = path.Base(p)
			if imp.Name != nil {
				qualifier = imp.Name.Name
			}
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == qualifier && b.standIns[n.Sel.Name] != "" {
				edits = append(edits, edit{at(x.Pos()), at(n.Sel.Pos()), ""})
			}
		case *ast.BasicLit:
			// Some tests find their own package in a stack.
			if n.Kind == token.STRING && strings.Contains(n.Value, b.pkg+"_test.") {
				edits = append(edits, edit{at(n.Pos()), at(n.End()), strings.ReplaceAll(n.Value, b.pkg+"_test.", b.sandbox+"_test.")})
			}
		case *ast.CallExpr:
			// (*Request).WithT returns the request, which then has a log to
			// write to in debug builds of net/http. It goes by its name: there
			// is no other such method.
			if sel, ok := n.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "WithT" && len(n.Args) == 1 {
				edits = append(edits, edit{at(sel.X.End()), at(n.End()), ""})
			}
		}
		return true
	})
	edits = append(edits, addHTTPS1(f, at)...)

	s.text = applyEdits(s.text, edits)
	s.ast, err = parser.ParseFile(fset, s.name, s.text, parser.ParseComments)
	if err != nil {
		return fmt.Errorf("gosuite: after bridging: %w", err)
	}
	return nil
}

// addHTTPS1 makes https1 one of the modes that tests run in when they do not
// name their own. The list of those is the composite literal that func run
// assigns to its variable modes.
func addHTTPS1(f *ast.File, at func(token.Pos) int) []edit {
	var edits []edit
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Name.Name != "run" || fn.Recv != nil || fn.Body == nil {
			continue
		}
		for _, stmt := range fn.Body.List {
			as, ok := stmt.(*ast.AssignStmt)
			if !ok || len(as.Lhs) != 1 || len(as.Rhs) != 1 {
				continue
			}
			id, ok := as.Lhs[0].(*ast.Ident)
			lit, isLit := as.Rhs[0].(*ast.CompositeLit)
			if ok && isLit && id.Name == "modes" && mentionsModes(lit, "http1Mode", "http2Mode") {
				end := at(lit.Rbrace)
				edits = append(edits, edit{end, end, ", https1Mode"})
			}
		}
	}
	return edits
}

// mentionsModes reports whether the elements of lit are exactly the names given.
func mentionsModes(lit *ast.CompositeLit, names ...string) bool {
	if len(lit.Elts) != len(names) {
		return false
	}
	for i, e := range lit.Elts {
		if id, ok := e.(*ast.Ident); !ok || id.Name != names[i] {
			return false
		}
	}
	return true
}
