package dialer

import (
	"sync"

	"golang.org/x/sys/unix"
)

// probed tries each option once.
var probed = sync.OnceValue(func() []Capability {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		fd = -1 // no descriptor is left: nothing is known to be missing
	} else {
		defer unix.Close(fd)
	}
	all := []Capability{
		{Name: bindNoPort.name, Since: "Linux 4.2", Available: bindNoPort.there(fd, 1), Without: "a source has one range of ports for all destinations together, and takes each of them from every other connection of the host"},
		{Name: portRange.name, Since: "Linux 6.3", Available: portRange.there(fd, fullRange), Without: "connecting takes 20 times as long once half of the ports are in use, and PortRange is ignored"},
		{Name: freebind.name, Since: "Linux 2.4", Available: freebind.there(fd, 1), Without: "each address of an IPv6 prefix in Sources must be configured"},
	}
	for _, c := range []struct {
		level, option, value int
		Capability
	}{
		{unix.SOL_SOCKET, unix.SO_REUSEPORT, 1, Capability{Name: "SO_REUSEPORT", Since: "Linux 3.9", Without: "no two listeners share a port, and ExplicitPorts cannot be used"}},
		{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 1000, Capability{Name: "TCP_USER_TIMEOUT", Since: "Linux 2.6.37", Without: "a peer that falls silent is given up after tcp_retries2, some 15 minutes"}},
	} {
		c.Available = unix.SetsockoptInt(fd, c.level, c.option, c.value) != unix.ENOPROTOOPT
		all = append(all, c.Capability)
	}
	_, err = unix.GetsockoptByte(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	all = append(all, Capability{Name: "TCP_INFO", Since: "Linux 2.4", Available: err != unix.ENOPROTOOPT, Without: "who closed first is unknown"})
	return all
})

// there tries the option, and remembers what comes of it for the sockets to come.
func (o *option) there(fd, value int) bool {
	o.set(fd, value)
	return !o.missing.Load()
}
