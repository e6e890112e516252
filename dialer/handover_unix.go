//go:build unix

package dialer

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

const passesDescriptors = true

// copyFD copies the descriptor, and returns the number by which the kernel knows
// the socket. os/exec asks the copy for its Fd: one that File had made would become
// a blocking one by that, and this listener with it, so that Close would wait for
// Accept.
func (l *Listener) copyFD() (f *os.File, id uint64, err error) {
	if err := l.share(); err != nil {
		return nil, 0, err
	}
	var dup int
	cerr := l.raw.Control(func(fd uintptr) {
		if id, err = inode(int(fd)); err == nil {
			dup, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
		}
	})
	if err := errors.Join(cerr, err); err != nil {
		return nil, 0, err
	}
	return os.NewFile(uintptr(dup), "listener "+l.Addr().String()), id, nil
}

// inode is the number of a socket on Linux; the BSDs may say 0 for all.
func inode(fd int) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, os.NewSyscallError("fstat", err)
	}
	return uint64(st.Ino), nil
}

// listeningTCP checks that the descriptor is a TCP socket that listens, and
// returns its number.
func listeningTCP(fd int) (uint64, error) {
	id, err := inode(fd)
	if err != nil {
		return 0, err
	}
	on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return 0, os.NewSyscallError("getsockopt SO_ACCEPTCONN", err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return 0, os.NewSyscallError("getsockname", err)
	}
	switch sa.(type) {
	case *unix.SockaddrInet4, *unix.SockaddrInet6:
		if on != 0 {
			return id, nil
		}
	}
	return 0, errors.New("it is not a TCP socket that listens")
}

// copyOf makes a listener of a copy of the descriptor.
func (lc *ListenConfig) copyOf(fd int, name string) (*Listener, error) {
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl F_DUPFD_CLOEXEC", err)
	}
	f := os.NewFile(uintptr(dup), fmt.Sprintf("inherited %d", fd))
	defer f.Close()
	tcp, err := net.FileListener(f) // makes another copy
	if err != nil {
		return nil, err
	}
	l := newListener(tcp.(*net.TCPListener), lc, name)
	l.taken = true
	l.shared.Store(true)
	return l, nil
}

func closeFD(fd int) { unix.Close(fd) }
