package checks

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// TestEveryExportedNameIsExplained also asks for a comment at every exported
// field: what it means, its unit, what zero and a negative number do. That a
// comment begins with the name it explains, staticcheck sees to.
func TestEveryExportedNameIsExplained(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.isTest() || !slices.Contains(rooms, f.room()) || strings.Contains(f.name, "/internal/") {
			continue
		}
		for _, problem := range unexplained(f) {
			t.Errorf("%s:%s has no doc comment, want one: pkg.go.dev is all that many users read", f.name, problem)
		}
	}
}

func TestUnexplainedNamesAreFound(t *testing.T) {
	const source = `package p

// A is explained.
type A struct {
	// B is explained.
	B int
	C int // C as well.
	D, E int
	A2
	f int
}
type F interface {
	G()
	h()
}
func (a *A) I() {}
func (a a) J() {}
func (l *L[K, V]) M() {}
// L is explained.
type L[K, V any] struct{}
func N() {}
func o() {}
// These are explained together.
const ( P = 1; Q = 2 )
const ( R = 1
	S = 2 // S is explained.
)
var T, u = 1, 2
`
	want := []string{"8: D", "8: E", "12: F", "13: F.G", "16: A.I", "18: L.M", "21: N", "25: R", "28: T"}
	got := unexplained(parseText(t, "p.go", source))
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// unexplained lists the exported names of the file that no comment explains,
// each as "line: name".
func unexplained(f goFile) []string {
	var missing []string
	note := func(at ast.Node, explained bool, owner string, names ...*ast.Ident) {
		for _, name := range names {
			if name.IsExported() && !explained {
				missing = append(missing, fmt.Sprintf("%d: %s%s", f.line(at), owner, name.Name))
			}
		}
	}
	for _, decl := range f.ast.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			owner, exported := receiver(decl)
			if exported {
				note(decl, decl.Doc != nil, owner, decl.Name)
			}
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				switch spec := spec.(type) {
				case *ast.ValueSpec:
					note(spec, decl.Doc != nil || spec.Doc != nil || spec.Comment != nil, "", spec.Names...)
				case *ast.TypeSpec:
					note(spec, decl.Doc != nil || spec.Doc != nil, "", spec.Name)
					if spec.Name.IsExported() {
						noteMembers(spec, note)
					}
				}
			}
		}
	}
	return missing
}

// noteMembers notes the fields of a struct and the methods of an interface. An
// embedded type has no name of its own and is explained where it is declared.
func noteMembers(spec *ast.TypeSpec, note func(ast.Node, bool, string, ...*ast.Ident)) {
	var members *ast.FieldList
	owner := ""
	switch kind := spec.Type.(type) {
	case *ast.StructType:
		members = kind.Fields
	case *ast.InterfaceType:
		members, owner = kind.Methods, spec.Name.Name+"."
	default:
		return
	}
	for _, member := range members.List {
		note(member, member.Doc != nil || member.Comment != nil, owner, member.Names...)
	}
}

// receiver returns the type a method belongs to, with a dot behind it, and
// whether users can name it. For a function it is "", true.
func receiver(decl *ast.FuncDecl) (owner string, exported bool) {
	if decl.Recv == nil {
		return "", true
	}
	kind := decl.Recv.List[0].Type
	if star, ok := kind.(*ast.StarExpr); ok {
		kind = star.X
	}
	switch generic := kind.(type) {
	case *ast.IndexExpr:
		kind = generic.X
	case *ast.IndexListExpr:
		kind = generic.X
	}
	name, ok := kind.(*ast.Ident)
	return name.Name + ".", ok && token.IsExported(name.Name)
}
