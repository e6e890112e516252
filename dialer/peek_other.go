//go:build !linux

package dialer

// Peek looks at the connection without reading from it. This system cannot be
// asked in that way.
func (c *Conn) Peek() PeerState { return Unknown }
