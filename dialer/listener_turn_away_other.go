//go:build !linux

package dialer

import "net"

// turnAway would stop new connections.
func (l *Listener) turnAway() bool { return false }

// atRest would report whether no handshake is under way.
func (l *Listener) atRest() bool { return true }

// unfilter has nothing to undo.
func unfilter(*net.TCPConn) {}
