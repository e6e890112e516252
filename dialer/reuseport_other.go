//go:build windows || plan9 || wasm || solaris || illumos

package dialer

import (
	"errors"
	"fmt"
	"syscall"
)

// go-reuseport would set SO_REUSEADDR on Windows, which is another thing there.
func reusePort(string, string, syscall.RawConn) error {
	return fmt.Errorf("dialer: ListenConfig.ReusePort: %w on this system", errors.ErrUnsupported)
}

// canReusePort says that listeners cannot share a port.
const canReusePort = false
