package hostcheck

import (
	"errors"
	"io/fs"
	"os"
	"strings"
)

func kernelRelease() string {
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// readParameter reads a parameter as the calling thread's network namespace has
// it.
func readParameter(key string) (value string, ok bool, err error) {
	b, err := os.ReadFile(parameterFile(key))
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	return string(b), err == nil, err
}

// exists reports whether the kernel has a parameter.
func exists(key string) bool {
	_, err := os.Stat(parameterFile(key))
	return !errors.Is(err, fs.ErrNotExist)
}

// parameterFile is where a parameter is to be found. In a key with dots, what
// would be a dot in a file's name (that of an interface, such as eth0.100) is a
// slash.
func parameterFile(key string) string {
	return "/proc/sys/" + swapped(key)
}
