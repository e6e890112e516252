package hostcheck

import "fmt"

// State is a state of a TCP socket, by the number that Linux gives it.
type State uint8

// The states of TCP. SynRecv includes requests for a connection that have no
// socket yet.
const (
	Established State = iota + 1
	SynSent
	SynRecv
	FinWait1
	FinWait2
	TimeWait
	Closed
	CloseWait
	LastAck
	Listen
	Closing
)

var stateNames = [...]string{
	Established: "ESTABLISHED",
	SynSent:     "SYN_SENT",
	SynRecv:     "SYN_RECV",
	FinWait1:    "FIN_WAIT_1",
	FinWait2:    "FIN_WAIT_2",
	TimeWait:    "TIME_WAIT",
	Closed:      "CLOSED",
	CloseWait:   "CLOSE_WAIT",
	LastAck:     "LAST_ACK",
	Listen:      "LISTEN",
	Closing:     "CLOSING",
}

// String is the state's name as netstat writes it, with underscores: TIME_WAIT.
func (s State) String() string {
	if int(s) < len(stateNames) && stateNames[s] != "" {
		return stateNames[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// MarshalText writes the name, so that a State can be a value or a key in JSON.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
