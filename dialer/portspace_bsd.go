//go:build darwin || freebsd

package dialer

import "golang.org/x/sys/unix"

// readPortSpace asks for the range that connections get their ports from. On
// macOS and FreeBSD both settings have the same names.
func readPortSpace() portSpace {
	first, err1 := unix.SysctlUint32("net.inet.ip.portrange.first")
	last, err2 := unix.SysctlUint32("net.inet.ip.portrange.last")
	if err1 != nil || err2 != nil || first > last || last > 65535 {
		return portSpace{all: ianaPorts}
	}
	return portSpace{all: PortRange{Lo: uint16(first), Hi: uint16(last)}}
}
