//go:build !unix

package dialer

// fileLimit is not known: Windows has no such limit for sockets.
func fileLimit() uint64 { return 0 }
