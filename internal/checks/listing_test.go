package checks

import (
	"go/ast"
	"go/types"
	"slices"
	"strings"
	"testing"
)

// listing describes what users of the package can name: a line for each
// exported constant, variable, function, type, field and method, sorted. The
// names of parameters are left out, since no caller depends on them.
func listing(pkg *types.Package) []string {
	l := lister{within: types.RelativeTo(pkg)}
	for _, name := range pkg.Scope().Names() {
		if object := pkg.Scope().Lookup(name); object.Exported() {
			l.object(object)
		}
	}
	slices.Sort(l.lines)
	return l.lines
}

// lister collects the lines of a listing.
type lister struct {
	within types.Qualifier
	lines  []string
}

func (l *lister) add(parts ...string) { l.lines = append(l.lines, strings.Join(parts, "")) }

func (l *lister) of(t types.Type) string { return types.TypeString(t, l.within) }

func (l *lister) object(object types.Object) {
	name := object.Name()
	switch object := object.(type) {
	case *types.Const:
		l.add("const ", name, " ", l.of(object.Type()), " = ", object.Val().ExactString())
	case *types.Var:
		l.add("var ", name, " ", l.of(object.Type()))
	case *types.Func:
		signature := object.Signature()
		l.add("func ", name, l.parameters(signature.TypeParams()), l.signature(signature))
	case *types.TypeName:
		l.typeName(object)
	}
}

func (l *lister) typeName(object *types.TypeName) {
	named, ok := object.Type().(*types.Named)
	if !ok || object.IsAlias() {
		l.add("type ", object.Name(), " = ", l.of(types.Unalias(object.Type())))
		return
	}
	head := "type " + object.Name() + l.parameters(named.TypeParams())
	switch kind := named.Underlying().(type) {
	case *types.Struct:
		l.add(head, " struct")
		l.fields(object.Name(), kind)
	case *types.Interface:
		l.add(head, " interface")
		l.elements(object.Name(), kind)
	default:
		l.add(head, " ", l.of(kind))
	}
	for method := range named.Methods() {
		if method.Exported() {
			signature := method.Signature()
			l.add("func (", l.of(signature.Recv().Type()), ") ", method.Name(), l.signature(signature))
		}
	}
}

func (l *lister) fields(owner string, kind *types.Struct) {
	for field := range kind.Fields() {
		switch {
		case field.Embedded() && field.Exported():
			l.add("field ", owner, ".", field.Name(), " ", l.of(field.Type()), ", embedded")
		case field.Exported():
			l.add("field ", owner, ".", field.Name(), " ", l.of(field.Type()))
		}
	}
}

// elements lists everything of an interface, names that are not exported too:
// one of them means that no other package can implement it.
func (l *lister) elements(owner string, kind *types.Interface) {
	for method := range kind.ExplicitMethods() {
		l.add("method ", owner, ".", method.Name(), l.signature(method.Signature()))
	}
	for embedded := range kind.EmbeddedTypes() {
		l.add("method ", owner, ": all of ", l.of(embedded))
	}
}

// parameters writes type parameters with their constraints, in brackets.
func (l *lister) parameters(list *types.TypeParamList) string {
	if list.Len() == 0 {
		return ""
	}
	var parts []string
	for p := range list.TypeParams() {
		parts = append(parts, p.Obj().Name()+" "+l.of(p.Constraint()))
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

func (l *lister) signature(s *types.Signature) string {
	in, out := l.tuple(s.Params()), l.tuple(s.Results())
	if s.Variadic() {
		last := len(in) - 1
		in[last] = "..." + strings.TrimPrefix(in[last], "[]")
	}
	text := "(" + strings.Join(in, ", ") + ")"
	switch len(out) {
	case 0:
		return text
	case 1:
		return text + " " + out[0]
	}
	return text + " (" + strings.Join(out, ", ") + ")"
}

func (l *lister) tuple(vars *types.Tuple) []string {
	var parts []string
	for v := range vars.Variables() {
		parts = append(parts, l.of(v.Type()))
	}
	return parts
}

func TestListingShowsWhatUsersCanName(t *testing.T) {
	f := parseText(t, "p.go", `package p

const A, b = 1 << 2, 2

const D C = "d"

var E, f = 1, 2

type C string

type G[K comparable, V any] struct {
	H map[K]V
	i int
	*C
	o
}

func (g *G[K, V]) J(k K) (v V, err error) { return }
func (g G[K, V]) l()                      {}

type M interface {
	N(int)
	error
}

type o struct{ P int }

func (o) S() {}

type Q = C

func R[T any](name string, t ...T) error { return nil }
func s()                                {}
`)
	pkg, err := new(types.Config).Check("p", f.fset, []*ast.File{f.ast}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`const A untyped int = 4`,
		`const D C = "d"`,
		`field G.C *C, embedded`,
		`field G.H map[K]V`,
		`func (*G[K, V]) J(K) (V, error)`,
		`func R[T any](string, ...T) error`,
		`method M.N(int)`,
		`method M: all of error`,
		`type C string`,
		`type G[K comparable, V any] struct`,
		`type M interface`,
		`type Q = C`,
		`var E int`,
	}
	if got := listing(pkg); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
