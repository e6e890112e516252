//go:build !386 && !s390x

package dialer

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

func setsockopt(fd, level, option int, value unsafe.Pointer, size uintptr) unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option), uintptr(value), size, 0)
	return errno
}

func getsockopt(fd, level, option int, value unsafe.Pointer, size uintptr) unix.Errno {
	length := uint32(size)
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option), uintptr(value), uintptr(unsafe.Pointer(&length)), 0)
	return errno
}

// getTCPInfo may wait: for who is writing, on another thread, at that moment.
func getTCPInfo(fd int, info *tcpInfo) unix.Errno {
	length := uint32(unsafe.Sizeof(*info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP, unix.TCP_INFO, uintptr(unsafe.Pointer(info)), uintptr(unsafe.Pointer(&length)), 0)
	return errno
}

func bindRaw(fd int, addr unsafe.Pointer, size uintptr) unix.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_BIND, uintptr(fd), uintptr(addr), size)
	return errno
}

func getsockname(fd int, addr unsafe.Pointer, size uintptr) unix.Errno {
	length := uint32(size)
	_, _, errno := unix.RawSyscall(unix.SYS_GETSOCKNAME, uintptr(fd), uintptr(addr), uintptr(unsafe.Pointer(&length)))
	return errno
}

// connectRaw may take long, where many ports are taken: the scheduler is told.
func connectRaw(fd int, addr unsafe.Pointer, size uintptr) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(addr), size)
	return errno
}
