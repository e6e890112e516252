//go:build !linux

package dialer

import "syscall"

// prepare has no options to set here. That a connection which loses the race of
// Happy Eyeballs may leave a TIME_WAIT is as with net.Dialer.
func prepare(syscall.RawConn, PortRange, bool) (linger int, err error) { return -1, nil }

// disarm has nothing to undo: prepare leaves SO_LINGER as the user set it.
func disarm(*Conn, int) error { return nil }
