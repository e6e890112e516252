//go:build !unix

package dialer

import (
	"errors"
	"net/netip"
	"syscall"
)

// bindsInControl is false where net binds every socket itself (Windows, for
// ConnectEx), which fails on one that is bound already.
const bindsInControl = false

func bind(syscall.RawConn, netip.Addr, string, bool) error { return errors.ErrUnsupported }
