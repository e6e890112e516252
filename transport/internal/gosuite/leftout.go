package gosuite

import (
	"cmp"
	"slices"
)

// LeftOut is a test of a suite that is not run, since it cannot be compiled
// outside of the standard library.
type LeftOut struct {
	File string // such as "net/http/client_test.go"
	Test string // name of the Test function
	Why  string
}

// leftOut lists the tests among the declarations that are left out.
func (p *program) leftOut() []LeftOut {
	var list []LeftOut
	for _, d := range p.decls {
		if d.why != "" && d.file.named && d.isTest() {
			list = append(list, LeftOut{p.suite.Package + "/" + d.file.name, d.names[0], d.why})
		}
	}
	slices.SortFunc(list, func(a, b LeftOut) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Test, b.Test))
	})
	return list
}

// tests lists the names of the tests that are run.
func (p *program) tests() []string {
	var names []string
	for _, d := range p.decls {
		if d.why == "" && d.file.named && d.isTest() {
			names = append(names, d.names[0])
		}
	}
	return names
}

// cancelers lists the tests that call Transport.CancelRequest, themselves or
// through others.
func (p *program) cancelers() map[string]bool {
	callers := make(map[*decl]bool)
	for more := true; more; {
		more = false
		for _, d := range p.decls {
			if d.why != "" || callers[d] {
				continue
			}
			names := d.mentions()
			calls := names["CancelRequest"]
			for c := range callers {
				calls = calls || slices.ContainsFunc(c.names, func(n string) bool { return names[n] })
			}
			if calls {
				callers[d], more = true, true
			}
		}
	}
	tests := make(map[string]bool)
	for d := range callers {
		if d.isTest() {
			tests[d.names[0]] = true
		}
	}
	return tests
}
