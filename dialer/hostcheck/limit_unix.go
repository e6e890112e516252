//go:build unix

package hostcheck

import (
	"os"

	"golang.org/x/sys/unix"
)

func fileLimit() (Limit, error) {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return Limit{}, os.NewSyscallError("getrlimit", err)
	}
	return Limit{Soft: uint64(l.Cur), Hard: uint64(l.Max)}, nil
}
