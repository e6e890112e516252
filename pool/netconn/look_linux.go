package netconn

import "golang.org/x/sys/unix"

// peerEnded are the events of poll that tell of the peer's end, whatever there is
// to be read before it.
const peerEnded = unix.POLLRDHUP | unix.POLLHUP | unix.POLLERR
