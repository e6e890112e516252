//go:build darwin || freebsd

package hostcheck

import (
	"errors"
	"strconv"

	"golang.org/x/sys/unix"
)

func kernelRelease() string {
	release, err := unix.Sysctl("kern.osrelease")
	if err != nil {
		return ""
	}
	return release
}

// readParameter reads a parameter that is a number.
func readParameter(key string) (value string, ok bool, err error) {
	n, err := unix.SysctlUint32(key)
	switch {
	case errors.Is(err, unix.ENOENT):
		return "", false, nil
	case err != nil:
		return "", false, err
	}
	return strconv.FormatUint(uint64(n), 10), true, nil
}

func exists(key string) bool {
	_, err := unix.SysctlRaw(key)
	return !errors.Is(err, unix.ENOENT)
}
