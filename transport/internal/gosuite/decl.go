package gosuite

import (
	"go/ast"
	"go/token"
	"strings"
)

// A decl is what is kept or left out as one: a function, a method, a
// declaration outside parentheses, or one line of a group (a const group stays
// in one piece, since iota counts its lines).
type decl struct {
	file  *source
	node  ast.Node // *ast.FuncDecl, *ast.GenDecl or ast.Spec
	names []string // what it declares; a method is "Receiver.Method"
	why   string   // why it is left out; "" while it is in
}

func (d *decl) contains(pos token.Pos) bool {
	return d.start() <= pos && pos < d.node.End()
}

// start is where the declaration begins, its doc comment included.
func (d *decl) start() token.Pos {
	var doc *ast.CommentGroup
	switch n := d.node.(type) {
	case *ast.FuncDecl:
		doc = n.Doc
	case *ast.GenDecl:
		doc = n.Doc
	case *ast.ValueSpec:
		doc = n.Doc
	case *ast.TypeSpec:
		doc = n.Doc
	}
	if doc != nil {
		return doc.Pos()
	}
	return d.node.Pos()
}

// isTest reports whether d is a test in the sense of the go command.
func (d *decl) isTest() bool {
	f, ok := d.node.(*ast.FuncDecl)
	return ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") && f.Name.Name != "TestMain" &&
		len(f.Type.Params.List) == 1
}

// declaresType reports whether d is a type declaration.
func (d *decl) declaresType() bool {
	switch n := d.node.(type) {
	case *ast.GenDecl:
		return n.Tok == token.TYPE
	case *ast.TypeSpec:
		return true
	}
	return false
}

func (d *decl) isInit() bool {
	f, ok := d.node.(*ast.FuncDecl)
	return ok && f.Recv == nil && f.Name.Name == "init"
}

// receiver is the name of the type that d is a method of, or "".
func (d *decl) receiver() string {
	f, ok := d.node.(*ast.FuncDecl)
	if !ok || f.Recv == nil || len(f.Recv.List) == 0 {
		return ""
	}
	t := f.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.ParenExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// mentions returns every identifier in d, as a set. It is what d may use, and
// more: names of fields and of local variables are among them.
func (d *decl) mentions() map[string]bool {
	m := make(map[string]bool)
	ast.Inspect(d.node, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			m[id.Name] = true
		}
		return true
	})
	return m
}

// declsOf cuts a file's top level, imports aside, into decls.
func declsOf(s *source) []*decl {
	var ds []*decl
	for _, d := range s.ast.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			nd := &decl{file: s, node: d, names: []string{d.Name.Name}}
			if r := nd.receiver(); r != "" {
				nd.names[0] = r + "." + d.Name.Name
			}
			ds = append(ds, nd)
		case *ast.GenDecl:
			if d.Tok == token.IMPORT {
				continue
			}
			if !d.Lparen.IsValid() || d.Tok == token.CONST {
				nd := &decl{file: s, node: d}
				for _, spec := range d.Specs {
					nd.names = append(nd.names, specNames(spec)...)
				}
				ds = append(ds, nd)
				continue
			}
			for _, spec := range d.Specs {
				ds = append(ds, &decl{file: s, node: spec, names: specNames(spec)})
			}
		}
	}
	return ds
}

func specNames(spec ast.Spec) []string {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		return []string{s.Name.Name}
	case *ast.ValueSpec:
		var names []string
		for _, n := range s.Names {
			names = append(names, n.Name)
		}
		return names
	}
	return nil
}
