package dialer

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// keepAlive is what net.Dialer does to a socket for its KeepAlive fields, after
// it is connected. Done before, in the same visit as all else, it takes a fifth less
// time.
type keepAlive struct {
	on                    bool
	idle, interval, count int // seconds, and probes; zero: left as it is
}

const setsKeepAlive = true

// keepAliveOf reads the fields as net.Dialer does. The nine probes that most
// kernels have by themselves are set, too: the user's Control may have set others,
// and a socket that was told nothing follows the sysctl, whenever that changes.
func keepAliveOf(d *Dialer) keepAlive {
	c := d.KeepAliveConfig
	switch {
	case c.Enable:
	case d.KeepAlive < 0:
		return keepAlive{}
	default:
		c = net.KeepAliveConfig{Idle: d.KeepAlive}
	}
	k := keepAlive{on: true, idle: keepAliveSeconds(c.Idle), interval: keepAliveSeconds(c.Interval), count: max(c.Count, 0)}
	if c.Count == 0 {
		k.count = 9
	}
	return k
}

// keepAliveSeconds rounds up. Zero is the default, negative nothing.
func keepAliveSeconds(d time.Duration) int {
	if d == 0 {
		return 15
	}
	return int((max(d, 0) + time.Second - 1) / time.Second)
}

// set sets the options, up to the first value that the kernel refuses. As with
// net.Dialer that is no error.
func (k keepAlive) set(fd int) {
	if !k.on || setInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1) != 0 {
		return
	}
	for _, o := range [...]struct{ option, value int }{
		{unix.TCP_KEEPIDLE, k.idle},
		{unix.TCP_KEEPINTVL, k.interval},
		{unix.TCP_KEEPCNT, k.count},
	} {
		if o.value != 0 && setInt(fd, unix.IPPROTO_TCP, o.option, o.value) != 0 {
			return
		}
	}
}
