//go:build !windows && !plan9 && !wasm && !solaris && !illumos

package dialer

import (
	"syscall"

	"github.com/libp2p/go-reuseport"
)

func reusePort(network, address string, c syscall.RawConn) error {
	return reuseport.Control(network, address, c)
}

// canReusePort says that listeners can share a port.
const canReusePort = true
