package netconn

import "syscall"

// errnoFiles is Winsock's WSAEMFILE. The EMFILE of package syscall is another
// number, which no system call returns.
var errnoFiles = []error{syscall.Errno(10024)}
