//go:build !unix || solaris || illumos

package dialer

import "syscall"

func reusesPort(syscall.RawConn) (bool, error) { return false, reusePort("", "", nil) }
