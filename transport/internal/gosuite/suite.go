package gosuite

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Suite names test files of one package of the standard library. Its tests are
// the Test functions that these files declare.
type Suite struct {
	Package string   // import path, such as "net/http"
	Files   []string // base names, such as "client_test.go"
}

// ParseSuites reads a list such as
// "net/http/client_test.go,net/http/httputil/reverseproxy_test.go", separated
// by commas, into suites in the order in which their packages first appear.
func ParseSuites(list string) ([]Suite, error) {
	var suites []Suite
	for _, name := range strings.Split(list, ",") {
		name = strings.TrimSpace(name)
		pkg, file := path.Split(name)
		pkg = strings.TrimSuffix(pkg, "/")
		if pkg == "" || !strings.HasSuffix(file, "_test.go") {
			return nil, fmt.Errorf("gosuite: %q does not name a test file of a standard package, as net/http/client_test.go does", name)
		}
		i := slices.IndexFunc(suites, func(s Suite) bool { return s.Package == pkg })
		if i < 0 {
			i = len(suites)
			suites = append(suites, Suite{Package: pkg})
		}
		if !slices.Contains(suites[i].Files, file) {
			suites[i].Files = append(suites[i].Files, file)
		}
	}
	return suites, nil
}
