package checks

import (
	"go/ast"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// excuse finds, in a condition, what may skip a test on every machine: the user
// asked for a short run, the system is another one, the race detector changes
// what is measured.
var excuse = regexp.MustCompile(`testing\.Short\(\)|runtime\.GOOS|\b(?i:race\w*)`)

// maySkip are the folders whose skips mean something else: package mustrun is
// here, and gosuite stands in for the helpers of Go's own tests, whose skips it
// counts against those over net/http.
var maySkip = []string{"internal/checks/", "transport/internal/gosuite/standin/"}

// TestNothingSkipsWhereEverythingMustRun keeps STAYOPEN_MUST_RUN worth its name:
// a skip for the lack of something goes through package mustrun.
func TestNothingSkipsWhereEverythingMustRun(t *testing.T) {
	for _, f := range goFiles(t) {
		if slices.ContainsFunc(maySkip, func(folder string) bool { return strings.HasPrefix(f.name, folder) }) {
			continue
		}
		for _, line := range bareSkips(f) {
			t.Errorf("%s:%d: got a skip, want mustrun.Skipf, so that it fails under STAYOPEN_MUST_RUN; only testing.Short, runtime.GOOS and the race detector skip everywhere", f.name, line)
		}
	}
}

func TestBareSkipsAreFound(t *testing.T) {
	for source, want := range map[string][]int{
		`import "testing"; func f(t *testing.T) { t.Skip("no ip") }`:                                          {2},
		`import "testing"; func f(b testing.TB) { if x() { b.Skipf("no %s", "ip") } }`:                        {2},
		`import "testing"; func f(t *testing.T) { if testing.Short() { t.SkipNow() } }`:                       nil,
		`import "testing"; func f(t *testing.T) { if runtime.GOOS != "linux" || x() { t.Skip("") } }`:         nil,
		`import "testing"; func f(t *testing.T) { if raceEnabled { t.Skip("allocates more") } }`:              nil,
		`import "testing"; func f(t *testing.T) { if trace { t.Skip("") } }`:                                  {2},
		`import "testing"; func f(t *testing.T) { mustrun.Skipf(t, "no ip") }`:                                nil,
		`import "testing"; func f(f *testing.F) { f.Fuzz(func(t *testing.T, b []byte) { t.Skip("short") }) }`: nil,
		`import "bufio"; func f(r *reader) { r.Skip(1) }`:                                                     nil,
	} {
		got := bareSkips(parseText(t, "a_test.go", "package p\n"+source))
		if !slices.Equal(got, want) {
			t.Errorf("%s: got lines %v, want %v", source, got, want)
		}
	}
}

// bareSkips returns the lines of calls that skip a test without an excuse.
func bareSkips(f goFile) []int {
	if importName(f, "testing") == "" {
		return nil
	}
	var lines []int
	var within []ast.Node // the nodes around the one looked at, outermost first
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if n == nil {
			within = within[:len(within)-1]
			return true
		}
		if isSkip(n) && !slices.ContainsFunc(within, f.excuses) {
			lines = append(lines, f.line(n))
		}
		within = append(within, n)
		return true
	})
	return lines
}

func isSkip(n ast.Node) bool {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return false
	}
	method, ok := call.Fun.(*ast.SelectorExpr)
	return ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, method.Sel.Name) && !isSelector(method, "mustrun", "Skipf")
}

// excuses reports whether n makes a skip inside it legitimate: it is an if with
// an excuse for a condition, or a fuzz target, which skips inputs that are of no
// interest.
func (f goFile) excuses(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.IfStmt:
		return excuse.Match(f.source(n.Cond))
	case *ast.CallExpr:
		method, ok := n.Fun.(*ast.SelectorExpr)
		return ok && method.Sel.Name == "Fuzz"
	}
	return false
}

// source is the text of the node.
func (f goFile) source(n ast.Node) []byte {
	return f.text[f.fset.Position(n.Pos()).Offset:f.fset.Position(n.End()).Offset]
}
