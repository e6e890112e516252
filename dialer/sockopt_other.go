//go:build !linux

package dialer

// disarm has nothing to undo: SO_LINGER is as the user set it. That a connection
// which loses the race of Happy Eyeballs may leave a TIME_WAIT is as with
// net.Dialer.
func disarm(*Conn, int) error { return nil }
