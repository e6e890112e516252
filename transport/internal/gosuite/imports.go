package gosuite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// copied lists internal packages that import nothing internal themselves and
// keep no state that another copy would have to share: they are taken along
// from GOROOT.
var copied = []string{"net/http/internal/testcert", "net/http/internal/ascii"}

// mapImports says what the sandbox imports in place of internal packages, and
// copies what can be copied. Internal packages that are not in the answer are
// out of reach, and so is what uses them.
func (w *Workspace) mapImports() (map[string]string, error) {
	m := map[string]string{
		// The tests use Wait of it, which is the same function.
		"internal/synctest": "testing/synctest",
		"internal/testenv":  w.self + "/standin/testenv",
		"internal/nettrace": w.self + "/standin/nettrace",
	}
	for _, pkg := range copied {
		files, err := filepath.Glob(filepath.Join(w.sourceDir(pkg), "*.go"))
		if err != nil {
			return nil, fmt.Errorf("gosuite: %w", err)
		}
		to := w.sandbox("copied/" + pkg[strings.LastIndex(pkg, "/")+1:])
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			text, err := os.ReadFile(f)
			if err != nil {
				return nil, fmt.Errorf("gosuite: %w", err)
			}
			if err := w.put(to, filepath.Base(f), string(text)); err != nil {
				return nil, err
			}
			m[pkg] = to
		}
	}
	return m, nil
}

// isInternal reports whether only packages of the standard library may import
// the path.
func isInternal(path string) bool {
	dotted := strings.Contains(strings.SplitN(path, "/", 2)[0], ".")
	return !dotted && strings.Contains("/"+path+"/", "/internal/")
}

// importer answers imports of the packages given, and of those they import, with
// what the compiler wrote about them. It says which of the packages cannot be
// built, for want of a module for instance.
func (w *Workspace) importer(ctx context.Context, fset *token.FileSet, paths []string) (_ types.Importer, failing []string, _ error) {
	args := []string{"-e", "-export", "-deps", "-json=ImportPath,Export", "--"}
	out, err := w.build(ctx, "list", append(args, paths...)...)
	if err != nil {
		return nil, nil, err
	}
	export := make(map[string]string)
	for dec := json.NewDecoder(strings.NewReader(out)); ; {
		var p struct{ ImportPath, Export string }
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, nil, fmt.Errorf("gosuite: go list: %w", err)
		}
		export[p.ImportPath] = p.Export
	}
	for _, path := range paths {
		if export[path] == "" && path != "unsafe" {
			failing = append(failing, path)
		}
	}
	return importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) {
		if export[path] == "" {
			return nil, fmt.Errorf("gosuite: package %s cannot be imported", path)
		}
		return os.Open(export[path])
	}), failing, nil
}
