//go:build !windows && !plan9

package netconn

import "syscall"

// errnoFiles say that there is no descriptor left, for the process or the system.
var errnoFiles = []error{syscall.EMFILE, syscall.ENFILE}
