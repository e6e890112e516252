//go:build !linux && !darwin && !freebsd

package dialer

// readPortSpace is what Windows starts with. What was set there instead
// (netsh int ipv4 set dynamicport tcp) is not read.
func readPortSpace() portSpace { return portSpace{all: ianaPorts} }
