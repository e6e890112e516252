package hostcheck

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

func kernelRelease() string {
	v := windows.RtlGetVersion()
	return fmt.Sprintf("%d.%d.%d", v.MajorVersion, v.MinorVersion, v.BuildNumber)
}

// readParameter reads a number from the registry of the machine.
func readParameter(key string) (value string, ok bool, err error) {
	i := strings.LastIndexByte(key, '\\')
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, key[:i], registry.QUERY_VALUE)
	if errors.Is(err, registry.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	defer k.Close()
	n, _, err := k.GetIntegerValue(key[i+1:])
	if errors.Is(err, registry.ErrNotExist) {
		return "", false, nil
	}
	return strconv.FormatUint(n, 10), err == nil, err
}

// exists says yes: nothing but what is in a file asks, and such files are not
// this system's.
func exists(string) bool { return true }
