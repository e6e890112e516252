//go:build !linux

package dialer

// lookAt would ask the kernel about the connection.
func lookAt(int) socket { return socket{} }

// undelivered would ask for what the peer has not acknowledged.
func undelivered(int) bool { return true }

// abort would make closing the socket a reset.
func abort(int) bool { return false }
