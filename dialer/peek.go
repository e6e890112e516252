package dialer

// PeerState is what can be seen of the peer on a connection that nobody reads.
type PeerState uint8

const (
	// Unknown: the system cannot be asked (everywhere but on Linux, and there if
	// ppoll is forbidden or missing).
	Unknown PeerState = iota
	// Quiet: nothing waits to be read.
	Quiet
	// HasData: the peer has sent something, and may have closed after it.
	HasData
	// ClosedByPeer: a Read would return EOF or an error. After our own Close,
	// Peek says this, too.
	ClosedByPeer
)

// String returns the constant's name.
func (s PeerState) String() string {
	switch s {
	case Quiet:
		return "Quiet"
	case HasData:
		return "HasData"
	case ClosedByPeer:
		return "ClosedByPeer"
	}
	return "Unknown"
}
