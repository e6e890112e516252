package dialer

// Capability is something that this package asks of the system and does without
// where it is missing.
type Capability struct {
	// Name is the socket option, or what else is asked for, as the system's
	// documentation calls it.
	Name string

	// Since is the version of the system from which on it is there.
	Since string

	// Available says whether this system has it.
	Available bool

	// Without says what is lost where it is missing.
	Without string
}

// Capabilities reports what this system offers of what the package makes use of,
// on sockets made to find out, once in the life of the process. The slice is the
// caller's. It may be called at any time by anybody.
func Capabilities() []Capability {
	return append([]Capability(nil), probed()...)
}
