//go:build !linux

package dialer

// ianaPorts are the dynamic ports by RFC 6335, section 6.
var ianaPorts = PortRange{Lo: 49152, Hi: 65535}

// narrowsPorts reports whether the system knows an option like
// IP_LOCAL_PORT_RANGE.
func narrowsPorts() bool { return false }

func knowsPortRange() bool { return false }

// explicitPorts: that an explicitly bound socket may take over a TIME_WAIT is
// known of Linux only.
const explicitPorts = false
