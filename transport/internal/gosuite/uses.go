package gosuite

import (
	"fmt"
	"go/ast"
	"go/types"
	"slices"
)

// use decides about one expression of type *http.Transport by what its parent
// does with it.
func (r *rerouter) use(e ast.Expr) {
	switch p := r.parent().(type) {
	case *ast.SelectorExpr: // a field or a method, see method; or e is itself the selected name
	case *ast.ParenExpr, *ast.StarExpr, *ast.ExprStmt, *ast.Field, *ast.RangeStmt:
	case *ast.AssignStmt:
		for i, rhs := range p.Rhs {
			if rhs == e && len(p.Lhs) == len(p.Rhs) {
				r.converted(e, r.typeOf(p.Lhs[i]))
			}
		}
	case *ast.ValueSpec:
		if p.Type != nil {
			r.converted(e, r.typeOf(p.Type))
		}
	case *ast.CallExpr:
		r.argument(e, p)
	case *ast.KeyValueExpr:
		lit, ok := r.stack[len(r.stack)-2].(*ast.CompositeLit)
		if !ok {
			r.report(e, "a key or a value outside of a literal")
			return
		}
		r.element(e, lit, p, -1)
	case *ast.CompositeLit:
		for i, elt := range p.Elts {
			if elt == e {
				r.element(e, p, nil, i)
			}
		}
	case *ast.ReturnStmt:
		r.result(e, p)
	case *ast.SendStmt:
		if ch, ok := r.typeOf(p.Chan).Underlying().(*types.Chan); ok && p.Value == e {
			r.converted(e, ch.Elem())
		}
	case *ast.BinaryExpr:
		other := p.X
		if other == e {
			other = p.Y
		}
		if !r.p.info.Types[other].IsNil() {
			r.converted(e, r.typeOf(other))
		}
	case *ast.IndexExpr:
		if m, ok := r.typeOf(p.X).Underlying().(*types.Map); ok && p.Index == e {
			r.converted(e, m.Key())
		}
	default:
		r.report(e, fmt.Sprintf("inside a %T", p))
	}
}

func (r *rerouter) argument(e ast.Expr, call *ast.CallExpr) {
	if r.p.info.Types[call.Fun].IsType() {
		r.converted(e, r.typeOf(call.Fun))
		return
	}
	sig, ok := r.typeOf(call.Fun).(*types.Signature)
	if !ok {
		return
	}
	for i, arg := range call.Args {
		if arg != e {
			continue
		}
		last := sig.Params().Len() - 1
		if sig.Variadic() && i >= last {
			if s, ok := sig.Params().At(last).Type().(*types.Slice); ok {
				r.converted(e, s.Elem())
			}
			return
		}
		r.converted(e, sig.Params().At(i).Type())
	}
}

// element handles part of a composite literal, which kv holds or which stands
// at place i.
func (r *rerouter) element(e ast.Expr, lit *ast.CompositeLit, kv *ast.KeyValueExpr, i int) {
	t := r.typeOf(lit)
	if ptr, ok := t.Underlying().(*types.Pointer); ok {
		t = ptr.Elem()
	}
	switch t := t.Underlying().(type) {
	case *types.Struct:
		if kv == nil {
			r.converted(e, t.Field(i).Type())
			return
		}
		for j := range t.NumFields() {
			if id, ok := kv.Key.(*ast.Ident); ok && t.Field(j).Name() == id.Name && kv.Value == e {
				r.converted(e, t.Field(j).Type())
			}
		}
	case *types.Map:
		if kv.Key == e {
			r.converted(e, t.Key())
		} else {
			r.converted(e, t.Elem())
		}
	case *types.Slice:
		r.converted(e, t.Elem())
	case *types.Array:
		r.converted(e, t.Elem())
	}
}

func (r *rerouter) result(e ast.Expr, ret *ast.ReturnStmt) {
	results := r.results()
	for i, x := range ret.Results {
		if x == e && results.Len() == len(ret.Results) {
			r.converted(e, results.At(i).Type())
		}
	}
}

// results are those of the function that the node looked at stands in.
func (r *rerouter) results() *types.Tuple {
	for _, n := range slices.Backward(r.stack) {
		switch fn := n.(type) {
		case *ast.FuncLit:
			return r.typeOf(fn).(*types.Signature).Results()
		case *ast.FuncDecl:
			return r.p.info.Defs[fn.Name].Type().(*types.Signature).Results()
		}
	}
	return nil
}

// spread handles a call with several results, which are converted without an
// expression of their own that could be rewritten.
func (r *rerouter) spread(call *ast.CallExpr, t *types.Tuple) {
	for i := range t.Len() {
		if !r.isTransport(t.At(i).Type(), true) {
			continue
		}
		var to types.Type
		switch p := r.parent().(type) {
		case *ast.ReturnStmt:
			to = r.results().At(i).Type()
		case *ast.AssignStmt:
			to = r.typeOf(p.Lhs[i])
		case *ast.ValueSpec:
			if p.Type != nil {
				to = r.typeOf(p.Type)
			}
		case *ast.CallExpr:
			if sig, ok := r.typeOf(p.Fun).(*types.Signature); ok && i < sig.Params().Len() {
				to = sig.Params().At(i).Type()
			}
		}
		if to != nil && types.IsInterface(to) {
			r.report(call, "one of several results becomes a "+to.String())
		}
	}
}

// converted handles e where it becomes a value of type to. Interfaces that say
// nothing about a transport take it as it is.
func (r *rerouter) converted(e ast.Expr, to types.Type) {
	if to == nil {
		return
	}
	iface, ok := to.Underlying().(*types.Interface)
	if !ok || iface.NumMethods() == 0 {
		return
	}
	for i := range iface.NumMethods() {
		if name := iface.Method(i).Name(); !routed[name] {
			r.report(e, "it becomes a "+to.String())
			return
		}
	}
	r.around(e, adapterName+".RoundTripper(", ")")
}
