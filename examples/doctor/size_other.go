//go:build !windows && (!unix || solaris || illumos || aix)

package main

import "io"

// size is not known.
func size(io.Writer) (rows, columns int, ok bool) { return 0, 0, false }
