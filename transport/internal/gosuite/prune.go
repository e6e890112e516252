package gosuite

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// prune leaves out declarations, each with its reason, until what remains
// compiles and holds nothing that reroute does not understand. What used a
// declaration that went goes in the next round.
func (p *program) prune() error {
	for {
		errs := p.check()
		changed := false
		for _, e := range errs {
			d := p.declAt(e.Pos)
			if d == nil {
				// An import that fails is reported where it stands; those who
				// use it are found below.
				if p.importAt(e.Pos) {
					continue
				}
				return fmt.Errorf("gosuite: %s: %s", p.fset.Position(e.Pos), e.Msg)
			}
			if d.why == "" {
				d.why, changed = p.reason(e.Msg), true
			}
		}
		for id, obj := range p.info.Uses {
			name, ok := obj.(*types.PkgName)
			if !ok || !p.unreachable[name.Imported().Path()] {
				continue
			}
			if d := p.declAt(id.Pos()); d != nil && d.why == "" {
				d.why, changed = "uses package "+name.Imported().Path(), true
			}
		}
		if !changed {
			for pos, why := range newRerouter(p).unknown() {
				if d := p.declAt(pos); d != nil && d.why == "" {
					d.why, changed = why, true
				}
			}
		}
		if !changed {
			return nil
		}
	}
}

// check runs the type checker over what is still in, and returns its errors.
func (p *program) check() []types.Error {
	var errs []types.Error
	p.info = &types.Info{
		Types:      make(map[ast.Expr]types.TypeAndValue),
		Defs:       make(map[*ast.Ident]types.Object),
		Uses:       make(map[*ast.Ident]types.Object),
		Selections: make(map[*ast.SelectorExpr]*types.Selection),
	}
	conf := types.Config{
		Importer:                 p.importer,
		DisableUnusedImportCheck: true,
		Error: func(err error) {
			if e, ok := err.(types.Error); ok && !strings.HasPrefix(e.Msg, "\t") {
				errs = append(errs, e)
			}
		},
	}
	var files []*ast.File
	for _, f := range p.files {
		files = append(files, p.remaining(f))
	}
	// The errors are in errs already.
	p.pkg, _ = conf.Check(p.suite.Package+"_test", p.fset, files, p.info)
	return errs
}

// remaining is a file's syntax without the declarations that are not in.
func (p *program) remaining(f *source) *ast.File {
	in := make(map[ast.Node]bool)
	for _, d := range p.decls {
		if d.file == f && d.why == "" {
			in[d.node] = true
		}
	}
	c := *f.ast
	c.Decls = nil
	for _, d := range f.ast.Decls {
		g, ok := d.(*ast.GenDecl)
		switch {
		case in[d], ok && g.Tok == token.IMPORT:
			c.Decls = append(c.Decls, d)
		case ok:
			part := *g
			part.Specs = slices.DeleteFunc(slices.Clone(g.Specs), func(s ast.Spec) bool { return !in[s] })
			if len(part.Specs) > 0 {
				c.Decls = append(c.Decls, &part)
			}
		}
	}
	return &c
}

func (p *program) declAt(pos token.Pos) *decl {
	for _, d := range p.decls {
		if d.contains(pos) {
			return d
		}
	}
	return nil
}

func (p *program) importAt(pos token.Pos) bool {
	for _, f := range p.files {
		for _, imp := range f.ast.Imports {
			if imp.Pos() <= pos && pos <= imp.End() {
				return true
			}
		}
	}
	return false
}

var (
	undefinedName   = regexp.MustCompile(`^undefined: (?:[a-zA-Z_]\w*\.)?([a-zA-Z_]\w*)$`)
	undefinedMember = regexp.MustCompile(`undefined \(type .* has no field or method ([a-zA-Z_]\w*)`)
	notExported     = regexp.MustCompile(`^name ([a-zA-Z_]\w*) not exported by package`)
)

// reason puts an error of the type checker into the words of the list: what is
// missing, and where Go's own tests have it from.
func (p *program) reason(msg string) string {
	for _, re := range []*regexp.Regexp{undefinedName, undefinedMember, notExported} {
		m := re.FindStringSubmatch(msg)
		if m == nil {
			continue
		}
		name := m[1]
		for _, d := range p.decls {
			if d.why == "" {
				continue
			}
			for _, n := range d.names {
				if n[strings.LastIndex(n, ".")+1:] == name {
					return d.why
				}
			}
		}
		if file, ok := p.internal[name]; ok {
			return "uses " + name + " of " + file
		}
		if !ast.IsExported(name) {
			return "uses " + name + ", which " + p.suite.Package + " does not export"
		}
		return "uses " + name + ", which is not public"
	}
	return "does not compile here: " + msg
}

// reach forgets what no remaining test needs, now that types tell exactly.
func (p *program) reach() {
	declares := make(map[types.Object]*decl)
	methods := make(map[string][]*decl)
	for _, d := range p.decls {
		if d.why != "" {
			continue
		}
		ast.Inspect(d.node, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				if obj := p.info.Defs[id]; obj != nil && obj.Parent() == p.pkg.Scope() {
					declares[obj] = d
				}
			}
			return true
		})
		if r := d.receiver(); r != "" {
			methods[r] = append(methods[r], d)
		}
	}
	reached := make(map[*decl]bool)
	var reach func(d *decl)
	reach = func(d *decl) {
		if d == nil || reached[d] {
			return
		}
		reached[d] = true
		for _, n := range d.names {
			for _, m := range methods[n] {
				reach(m)
			}
		}
		ast.Inspect(d.node, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				reach(declares[p.info.Uses[id]])
			}
			return true
		})
	}
	for _, d := range p.decls {
		if d.why == "" && (d.file.name == glue && slices.Contains(d.names, "TestMain") || d.file.named && (d.isTest() || d.isInit())) {
			reach(d)
		}
	}
	p.decls = slices.DeleteFunc(p.decls, func(d *decl) bool { return d.why == "" && !reached[d] })
}

// text is what goes into the sandbox for one file: Go's text with the changes
// made and everything else cut out, each line where it was. It is "" where
// nothing remains.
func (p *program) text(f *source, changes []edit) (string, error) {
	at := func(pos token.Pos) int { return p.fset.Position(pos).Offset }
	cut := func(from, to token.Pos) edit { return edit{at(from), at(to), blank(f.text[at(from):at(to)])} }
	in := make(map[ast.Node]bool)
	for _, d := range p.decls {
		if d.file == f && d.why == "" {
			in[d.node] = true
		}
	}
	if len(in) == 0 {
		return "", nil
	}
	edits := slices.Clone(changes)
	for _, d := range f.ast.Decls {
		g, ok := d.(*ast.GenDecl)
		switch {
		case in[d], ok && g.Tok == token.IMPORT:
		case ok && g.Lparen.IsValid() && slices.ContainsFunc(g.Specs, func(s ast.Spec) bool { return in[s] }):
			for _, s := range g.Specs {
				if !in[s] {
					edits = append(edits, cut((&decl{node: s}).start(), s.End()))
				}
			}
		default:
			edits = append(edits, cut((&decl{node: d}).start(), d.End()))
		}
	}
	return p.dropImports(f, applyEdits(f.text, edits))
}

// dropImports cuts the imports that a file's text no longer uses.
func (p *program) dropImports(f *source, text string) (string, error) {
	fset := token.NewFileSet()
	syntax, err := parser.ParseFile(fset, f.name, text, 0)
	if err != nil {
		return "", fmt.Errorf("gosuite: after rewriting: %w", err)
	}
	qualifiers := make(map[string]bool)
	ast.Inspect(syntax, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if id, ok := sel.X.(*ast.Ident); ok {
				qualifiers[id.Name] = true
			}
		}
		return true
	})
	names := make(map[string]string) // of packages, by path
	for _, imp := range p.pkg.Imports() {
		names[imp.Path()] = imp.Name()
	}
	dotted := p.dotUses(f)
	at := func(pos token.Pos) int { return fset.Position(pos).Offset }
	var edits []edit
	for _, d := range syntax.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.IMPORT {
			continue
		}
		for _, s := range g.Specs {
			imp := s.(*ast.ImportSpec)
			path, _ := strconv.Unquote(imp.Path.Value)
			name := names[path]
			if imp.Name != nil {
				name = imp.Name.Name
			}
			if name == "_" || name == "." && dotted[path] || name != "." && qualifiers[name] {
				continue
			}
			from, to := at(imp.Pos()), at(imp.End())
			if !g.Lparen.IsValid() {
				from = at(g.Pos())
				// On the line of the package clause a semicolon comes before
				// it, and two of them would be a syntax error.
				if before := strings.TrimRight(text[:from], " "); strings.HasSuffix(before, ";") {
					from = len(before) - 1
				}
			}
			edits = append(edits, edit{from, to, blank(text[from:to])})
		}
	}
	return applyEdits(text, edits), nil
}

// dotUses lists the packages whose names the remaining declarations of a file
// use without a qualifier.
func (p *program) dotUses(f *source) map[string]bool {
	used := make(map[string]bool)
	for _, d := range p.decls {
		if d.file != f || d.why != "" {
			continue
		}
		qualified := make(map[*ast.Ident]bool)
		ast.Inspect(d.node, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				qualified[n.Sel] = true
			case *ast.Ident:
				obj := p.info.Uses[n]
				if obj != nil && obj.Pkg() != nil && obj.Pkg() != p.pkg && !qualified[n] && obj.Parent() == obj.Pkg().Scope() {
					used[obj.Pkg().Path()] = true
				}
			}
			return true
		})
	}
	return used
}
