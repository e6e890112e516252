//go:build !unix

package dialer

// bindsInControl is false where net binds every socket itself (Windows, for
// ConnectEx), which fails on one that is bound already.
const bindsInControl = false

// visit has nothing to do.
func (s *setup) visit(uintptr) {}

// bindsAnyAddress says that the addresses of a prefix need not be configured one
// by one.
const bindsAnyAddress = false
