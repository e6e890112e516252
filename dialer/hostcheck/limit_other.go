//go:build !unix

package hostcheck

// fileLimit knows of none: sockets are bounded by memory.
func fileLimit() (Limit, error) { return Limit{}, nil }
