//go:build unix && !linux && !aix

package netconn

import "golang.org/x/sys/unix"

// peerEnded are the events of poll that tell of the peer's end. Many systems tell
// only when there is nothing to be read before it.
const peerEnded = unix.POLLHUP | unix.POLLERR
