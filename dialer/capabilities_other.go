//go:build !linux

package dialer

// probed: the options that make the difference are Linux's.
func probed() []Capability {
	return []Capability{
		{Name: "IP_BIND_ADDRESS_NO_PORT", Since: "Linux 4.2", Without: "a source has one range of ports for all destinations together"},
		{Name: "IP_LOCAL_PORT_RANGE", Since: "Linux 6.3", Without: "PortRange is ignored"},
		{Name: "IP_FREEBIND", Since: "Linux 2.4", Without: "each address of a prefix in Sources must be configured"},
		{Name: "SO_REUSEPORT", Since: "macOS and the BSDs, always", Available: canReusePort, Without: "no two listeners share a port"},
		{Name: "TCP_USER_TIMEOUT", Since: "Linux 2.6.37", Without: "a peer that falls silent is given up when the system's retransmissions end"},
		{Name: "TCP_INFO", Since: "Linux 2.4", Without: "who closed first is unknown"},
	}
}
