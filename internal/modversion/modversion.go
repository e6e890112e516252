// Package modversion tells which version of this module a program was built with,
// for OpenTelemetry's instrumentation scopes.
package modversion

import "runtime/debug"

const module = "github.com/stayopen-go/stayopen"

// Get returns the version, empty if it is not known.
func Get() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, dep := range info.Deps {
		if dep.Path == module {
			return dep.Version
		}
	}
	return ""
}
