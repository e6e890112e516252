package netconn

import "syscall"

// errnoFiles say that there is no descriptor left.
var errnoFiles = []error{syscall.EMFILE}
