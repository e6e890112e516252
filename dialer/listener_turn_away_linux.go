package dialer

import (
	"net"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// synFilter drops the packets that ask for a new connection. What belongs to a
// handshake that has begun passes.
var synFilter = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 13},           // the flags of the TCP header
	{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: 0x12},        // SYN and ACK
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: 0x02, Jf: 1}, // SYN alone?
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},                          // drop
	{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff /* all of it */}, // pass
}

// turnAway stops new connections. It does nothing and reports false where it could
// not be seen when the last handshake has ended, or where the socket has a filter
// of the user's or has become another process's, too. It may be called again.
//
// There is no milder way that works everywhere (Linux 6.18, measured): listen(2)
// with a backlog of 0 lets clients believe that they are connected; shutdown(2)
// resets like close; SO_INCOMING_CPU does not keep anybody away.
// SO_ATTACH_REUSEPORT_CBPF steers clients to another listener without a delay,
// but wants its place in the kernel's array, which earlier closes have shuffled
// and no call tells.
func (l *Listener) turnAway() bool {
	l.turning.Lock() // two that drain must not take each other's filter for the user's
	defer l.turning.Unlock()
	if l.turned || l.shared.Load() {
		return l.turned
	}
	if _, err := l.references(); err != nil || l.filtered() {
		return false
	}
	err := os.ErrInvalid
	l.raw.Control(func(fd uintptr) {
		// It fails where the user has locked the socket's filter.
		err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(synFilter)), Filter: &synFilter[0]})
	})
	l.turned = err == nil
	return l.turned
}

// atRest reports whether no handshake is under way and nothing is queued: both
// hold a reference to the socket, beside the one of its descriptors.
func (l *Listener) atRest() bool {
	n, err := l.references()
	return err != nil || n <= 1
}

// filtered reports whether the socket has a filter, and holds what cannot be read
// for one.
func (l *Listener) filtered() bool {
	filtered := true
	l.raw.Control(func(fd uintptr) {
		n, err := filterLen(fd)
		filtered = err != nil || n > 0
	})
	return filtered
}

// filterLen asks for the number of instructions alone, which is what a length of
// 0 does: any other counts instructions, not bytes, and no wrapper knows that.
func filterLen(fd uintptr) (uint32, error) {
	var n uint32
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_GET_FILTER, 0, uintptr(unsafe.Pointer(&n)), 0)
	if errno != 0 {
		return 0, os.NewSyscallError("getsockopt SO_GET_FILTER", errno)
	}
	return n, nil
}

// unfilter takes the filter from an accepted connection, which the kernel has
// given it.
func unfilter(tc *net.TCPConn) {
	raw, err := tc.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0) // ENOENT if it came before
	})
}
