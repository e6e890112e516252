//go:build unix

package dialer

import (
	"net"
	"strconv"
)

// zoneID is the number of an IPv6 zone, which is an interface's name or index.
func zoneID(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if ifi, err := net.InterfaceByName(zone); err == nil {
		return uint32(ifi.Index)
	}
	id, _ := strconv.ParseUint(zone, 10, 32)
	return uint32(id)
}
