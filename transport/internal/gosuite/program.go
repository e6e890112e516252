package gosuite

import (
	"context"
	"fmt"
	"go/build"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A program is the tests of one suite as Go source: read, cut to what compiles
// outside of the standard library, rewritten.
type program struct {
	suite   Suite
	adapter string // import path
	fset    *token.FileSet
	files   []*source
	decls   []*decl

	// Names that the package's internal test files declare, such as those of
	// export_test.go. They explain what is left out.
	internal map[string]string

	importer    types.Importer
	unreachable map[string]bool // imports that fail
	pkg         *types.Package
	info        *types.Info
}

// load reads a suite's files and their helpers.
func (w *Workspace) load(ctx context.Context, suite Suite) (*program, error) {
	imports, err := w.mapImports()
	if err != nil {
		return nil, err
	}
	b := &bridge{pkg: suite.Package, sandbox: w.sandbox(suite.Package), imports: imports}
	if b.standIns, err = w.standIns(suite.Package); err != nil {
		return nil, err
	}
	p := &program{suite: suite, adapter: w.self + "/adapter", fset: token.NewFileSet(), unreachable: make(map[string]bool)}
	if err := p.read(w.sourceDir(suite.Package)); err != nil {
		return nil, err
	}
	p.files = append(p.files, &source{name: glue, text: glueText(w, b)})
	for _, f := range p.files {
		if err := b.parse(p.fset, f); err != nil {
			return nil, err
		}
		p.decls = append(p.decls, declsOf(f)...)
	}
	p.narrow()

	var paths []string
	for _, f := range p.files {
		for _, imp := range f.ast.Imports {
			path, _ := strconv.Unquote(imp.Path.Value)
			switch {
			case isInternal(path):
				p.unreachable[path] = true
			case !slices.Contains(paths, path):
				paths = append(paths, path)
			}
		}
	}
	var failing []string
	p.importer, failing, err = w.importer(ctx, p.fset, paths)
	for _, path := range failing {
		p.unreachable[path] = true
	}
	return p, err
}

// read finds the package's test files: those outside the package, and those
// inside where the suite names one of them.
func (p *program) read(dir string) error {
	pkg, err := build.ImportDir(dir, 0)
	if err != nil {
		return fmt.Errorf("gosuite: %w", err)
	}
	p.internal = make(map[string]string)
	for _, name := range pkg.TestGoFiles {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, 0)
		if err != nil {
			return fmt.Errorf("gosuite: %w", err)
		}
		for _, d := range declsOf(&source{ast: f}) {
			for _, n := range d.names {
				p.internal[n[strings.LastIndex(n, ".")+1:]] = name
			}
		}
	}
	names := slices.Clone(pkg.XTestGoFiles)
	if slices.ContainsFunc(p.suite.Files, func(f string) bool { return slices.Contains(pkg.TestGoFiles, f) }) {
		names = append(names, pkg.TestGoFiles...)
	}
	for _, f := range p.suite.Files {
		if !slices.Contains(names, f) {
			return fmt.Errorf("gosuite: %s has no test file %s (for this system)", p.suite.Package, f)
		}
	}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return fmt.Errorf("gosuite: %w", err)
		}
		p.files = append(p.files, &source{name: name, text: string(text), named: slices.Contains(p.suite.Files, name)})
	}
	return nil
}

// narrow forgets declarations that the suite's tests cannot need, going by
// names alone, and all but one of those with the same name: the glue's come
// first, then those of the files named. Types tell more exactly what is needed,
// but checking them for all of net/http's tests takes its time.
func (p *program) narrow() {
	byName := make(map[string][]*decl)
	better := func(a, b *decl) bool {
		rank := func(d *decl) int {
			switch {
			case d.file.name == glue:
				return 0
			case d.file.named:
				return 1
			}
			return 2
		}
		return rank(a) < rank(b)
	}
	owner := make(map[string]*decl)
	for _, d := range p.decls {
		for _, n := range d.names {
			if o := owner[n]; o == nil || better(d, o) {
				owner[n] = d
			}
		}
	}
	for _, d := range p.decls {
		for _, n := range d.names {
			if n == "_" || n == "init" || owner[n] == d {
				byName[n] = append(byName[n], d)
			}
		}
		// Whoever mentions a method's type needs all of its methods.
		if r := d.receiver(); r != "" && owner[d.names[0]] == d {
			byName[r] = append(byName[r], d)
		}
	}
	needed := make(map[*decl]bool)
	var need func(d *decl)
	need = func(d *decl) {
		if needed[d] {
			return
		}
		needed[d] = true
		for name := range d.mentions() {
			for _, other := range byName[name] {
				need(other)
			}
		}
	}
	for _, d := range p.decls {
		if d.file.name == glue || d.file.named && (d.isTest() || d.isInit()) {
			need(d)
		}
	}
	p.decls = slices.DeleteFunc(p.decls, func(d *decl) bool { return !needed[d] })
}
