package gosuite

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strconv"
)

// The name under which rewritten files import package adapter.
const adapterName = "gosuiteadapter"

// routed are the methods of *http.Transport that an adapter has.
var routed = map[string]bool{"RoundTrip": true, "CloseIdleConnections": true, "CancelRequest": true}

// A rerouter finds where a program uses an *http.Transport as a transport, and
// makes each of these places go through package adapter:
//
//	http.Client{Transport: tr}           adapter.RoundTripper(tr)
//	tr.RoundTrip(req)                    adapter.RoundTripper(tr).RoundTrip(req)
//	c.Transport.(*http.Transport)        adapter.As[*http.Transport](c.Transport)
//	switch rt.(type)                     switch adapter.Unwrap(rt).(type)
//	ts.Client()                          adapter.Client(ts.Client())
//	err == ExportErrRequestCanceled      adapter.SameError(err, ExportErrRequestCanceled)
//
// Every expression of that type is looked at, and what is done with it decides.
// A use that is not among those known is reported rather than passed over: it
// might be a way around the adapter.
type rerouter struct {
	p     *program
	stack []ast.Node
	wraps map[ast.Node][]wrap
	odd   map[token.Pos]string
	std   *types.Package // net/http; nil where the program does not see it
}

// A wrap is a change made where a node begins and one made where it ends. The
// first may lie before the node, the second must end where it does.
type wrap struct{ begin, end edit }

func newRerouter(p *program) *rerouter {
	r := &rerouter{p: p, wraps: make(map[ast.Node][]wrap), odd: make(map[token.Pos]string)}
	r.std = findPackage(p.pkg, "net/http", make(map[*types.Package]bool))
	for _, d := range p.decls {
		if d.why != "" {
			continue
		}
		ast.Inspect(d.node, func(n ast.Node) bool {
			if n == nil {
				r.stack = r.stack[:len(r.stack)-1]
				return false
			}
			r.look(n)
			r.stack = append(r.stack, n)
			return true
		})
	}
	return r
}

// unknown lists the places that the rewriting has no answer for.
func (r *rerouter) unknown() map[token.Pos]string { return r.odd }

func findPackage(from *types.Package, path string, seen map[*types.Package]bool) *types.Package {
	for _, p := range from.Imports() {
		if seen[p] {
			continue
		}
		seen[p] = true
		if p.Path() == path {
			return p
		}
		if found := findPackage(p, path, seen); found != nil {
			return found
		}
	}
	return nil
}

// isTransport reports whether t is http.Transport or, with pointer, *http.Transport.
func (r *rerouter) isTransport(t types.Type, pointer bool) bool {
	if t == nil {
		return false
	}
	if pointer {
		ptr, ok := types.Unalias(t).(*types.Pointer)
		if !ok {
			return false
		}
		t = ptr.Elem()
	}
	named, ok := types.Unalias(t).(*types.Named)
	return ok && named.Obj().Pkg() == r.std && r.std != nil && named.Obj().Name() == "Transport"
}

func (r *rerouter) typeOf(e ast.Expr) types.Type { return r.p.info.TypeOf(e) }

// isValue reports whether e stands for a value rather than for a type.
func (r *rerouter) isValue(e ast.Expr) bool {
	if id, ok := e.(*ast.Ident); ok {
		_, isVar := r.p.info.ObjectOf(id).(*types.Var)
		return isVar
	}
	return r.p.info.Types[e].IsValue()
}

func (r *rerouter) parent() ast.Node {
	if len(r.stack) == 0 {
		return nil
	}
	return r.stack[len(r.stack)-1]
}

func (r *rerouter) at(pos token.Pos) int { return r.p.fset.Position(pos).Offset }

// insert is an edit that adds text and takes nothing away.
func (r *rerouter) insert(pos token.Pos, text string) edit {
	return edit{r.at(pos), r.at(pos), text}
}

// around puts n between two texts. What is put around a node first is outside
// of what is put around it later.
func (r *rerouter) around(n ast.Node, open, shut string) {
	r.wraps[n] = append(r.wraps[n], wrap{r.insert(n.Pos(), open), r.insert(n.End(), shut)})
}

func (r *rerouter) report(n ast.Node, what string) {
	r.odd[n.Pos()] = fmt.Sprintf("uses an *http.Transport in a way that cannot be rerouted: %s", what)
}

func (r *rerouter) look(n ast.Node) {
	// First, since what n is used for goes around what n is made of.
	if e, ok := n.(ast.Expr); ok && r.isValue(e) && r.isTransport(r.typeOf(e), true) {
		r.use(e)
	}
	switch n := n.(type) {
	case *ast.TypeSwitchStmt:
		r.typeSwitch(n)
	case *ast.StructType:
		for _, f := range n.Fields.List {
			t := r.typeOf(f.Type)
			if len(f.Names) == 0 && (r.isTransport(t, true) || r.isTransport(t, false)) {
				r.report(n, "a struct embeds it")
			}
		}
	case *ast.TypeAssertExpr:
		if n.Type != nil && r.isTransport(r.typeOf(n.Type), true) {
			r.assertion(n)
		}
	case *ast.BinaryExpr:
		r.comparison(n)
	case *ast.CallExpr:
		r.call(n)
	case *ast.SelectorExpr:
		r.method(n)
	}
}

// method handles what is selected from an http.Transport, pointer or not.
func (r *rerouter) method(n *ast.SelectorExpr) {
	sel := r.p.info.Selections[n]
	if sel == nil || !routed[n.Sel.Name] {
		return
	}
	switch pointer := r.isTransport(sel.Recv(), true); {
	case !pointer && !r.isTransport(sel.Recv(), false):
	case sel.Kind() == types.MethodExpr:
		r.report(n, "a method expression")
	case pointer:
		r.around(n.X, adapterName+".RoundTripper(", ")")
	default:
		r.around(n.X, adapterName+".RoundTripper(&", ")")
	}
}

func (r *rerouter) assertion(n *ast.TypeAssertExpr) {
	text := r.p.declAt(n.Pos()).file.text
	as := ".As["
	if t, ok := r.typeOf(n).(*types.Tuple); ok && t.Len() == 2 {
		as = ".AsOK["
	}
	r.wraps[n] = append(r.wraps[n], wrap{
		r.insert(n.Pos(), adapterName+as+text[r.at(n.Type.Pos()):r.at(n.Type.End())]+"]("),
		edit{r.at(n.X.End()), r.at(n.End()), ")"},
	})
}

func (r *rerouter) typeSwitch(n *ast.TypeSwitchStmt) {
	for _, c := range n.Body.List {
		for _, t := range c.(*ast.CaseClause).List {
			if !r.isTransport(r.typeOf(t), true) {
				continue
			}
			var guard ast.Expr
			switch a := n.Assign.(type) {
			case *ast.ExprStmt:
				guard = a.X
			case *ast.AssignStmt:
				guard = a.Rhs[0]
			}
			r.around(guard.(*ast.TypeAssertExpr).X, adapterName+".Unwrap(", ")")
			return
		}
	}
}

// isStandInError reports whether e names an error that only net/http's own
// tests can name. Its stand-in is another value with the same text.
func (r *rerouter) isStandInError(e ast.Expr) bool {
	id, ok := e.(*ast.Ident)
	if !ok {
		return false
	}
	obj := r.p.info.Uses[id]
	if obj == nil || obj.Pkg() != r.p.pkg || obj.Type().String() != "error" {
		return false
	}
	return r.p.fset.Position(obj.Pos()).Filename == glue
}

func (r *rerouter) comparison(n *ast.BinaryExpr) {
	if n.Op != token.EQL && n.Op != token.NEQ || !r.isStandInError(n.X) && !r.isStandInError(n.Y) {
		return
	}
	not := ""
	if n.Op == token.NEQ {
		not = "!"
	}
	r.around(n, not+adapterName+".SameError(", ")")
	between := edit{r.at(n.X.End()), r.at(n.Y.Pos()), ", "}
	r.wraps[n.Y] = append(r.wraps[n.Y], wrap{between, r.insert(n.Y.End(), "")})
}

func (r *rerouter) call(n *ast.CallExpr) {
	if t, ok := r.typeOf(n).(*types.Tuple); ok {
		r.spread(n, t)
	}
	sel, ok := n.Fun.(*ast.SelectorExpr)
	if !ok {
		return
	}
	switch fn, _ := r.p.info.Uses[sel.Sel].(*types.Func); {
	case fn == nil:
	case fn.FullName() == "(*net/http/httptest.Server).Client":
		r.around(n, adapterName+".Client(", ")")
	case fn.FullName() == "errors.Is" && len(n.Args) == 2 && r.isStandInError(n.Args[1]):
		name := edit{r.at(n.Fun.Pos()), r.at(n.Fun.End()), adapterName + ".ErrorIs"}
		r.wraps[n.Fun] = append(r.wraps[n.Fun], wrap{name, r.insert(n.Fun.End(), "")})
	}
}

// edits are the changes to one file.
func (r *rerouter) edits(f *source) []edit {
	edits := []edit{r.insert(f.ast.Name.End(), "; import "+adapterName+" "+strconv.Quote(r.p.adapter))}
	var stack []ast.Node
	visit := func(n ast.Node) bool {
		if n == nil {
			n, stack = stack[len(stack)-1], stack[:len(stack)-1]
			for _, w := range slices.Backward(r.wraps[n]) {
				edits = append(edits, w.end)
			}
			return false
		}
		stack = append(stack, n)
		for _, w := range r.wraps[n] {
			edits = append(edits, w.begin)
		}
		return true
	}
	for _, d := range r.p.decls {
		if d.file == f && d.why == "" {
			ast.Inspect(d.node, visit)
		}
	}
	return edits
}
