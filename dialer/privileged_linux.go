package dialer

import "golang.org/x/sys/unix"

// mayBind reports whether this process may bind a socket to the port: whether it
// is privileged in the user namespace of its network namespace, which only the
// kernel knows. It is asked with a socket that is bound already. That another bind
// is invalid is found after whether it is permitted (Linux 6.18), so that the port
// is never taken, not even for a moment.
func mayBind(port uint16) bool {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return true // nothing is known
	}
	defer unix.Close(fd)
	loopback := unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	if err := unix.Bind(fd, &loopback); err != nil {
		return true
	}
	loopback.Port = int(port)
	return unix.Bind(fd, &loopback) != unix.EACCES
}
