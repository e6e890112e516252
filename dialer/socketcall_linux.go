//go:build 386 || s390x

package dialer

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// On these processors Linux before 4.3 has no system calls for sockets but this
// one, which takes the address of their arguments, a word each.
//
// The numbers are those of include/uapi/linux/net.h. Pointers among the arguments
// stay pointers, so that they are right if the stack moves before the call.
func socketcall(number uintptr, args unsafe.Pointer) unix.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_SOCKETCALL, number, uintptr(args), 0)
	return errno
}

func setsockopt(fd, level, option int, value unsafe.Pointer, size uintptr) unix.Errno {
	args := struct {
		fd, level, option uintptr
		value             unsafe.Pointer
		size              uintptr
	}{uintptr(fd), uintptr(level), uintptr(option), value, size}
	return socketcall(14, unsafe.Pointer(&args))
}

func getsockopt(fd, level, option int, value unsafe.Pointer, size uintptr) unix.Errno {
	length := uint32(size)
	args := struct {
		fd, level, option uintptr
		value             unsafe.Pointer
		length            *uint32
	}{uintptr(fd), uintptr(level), uintptr(option), value, &length}
	return socketcall(15, unsafe.Pointer(&args))
}

// getTCPInfo may wait, for who is writing at that moment. Here the scheduler is
// not told.
func getTCPInfo(fd int, info *tcpInfo) unix.Errno {
	return getsockopt(fd, unix.IPPROTO_TCP, unix.TCP_INFO, unsafe.Pointer(info), unsafe.Sizeof(*info))
}

func bindRaw(fd int, addr unsafe.Pointer, size uintptr) unix.Errno {
	args := struct {
		fd   uintptr
		addr unsafe.Pointer
		size uintptr
	}{uintptr(fd), addr, size}
	return socketcall(2, unsafe.Pointer(&args))
}

func getsockname(fd int, addr unsafe.Pointer, size uintptr) unix.Errno {
	length := uint32(size)
	args := struct {
		fd     uintptr
		addr   unsafe.Pointer
		length *uint32
	}{uintptr(fd), addr, &length}
	return socketcall(6, unsafe.Pointer(&args))
}

// connectRaw may take long, where many ports are taken: the scheduler is told.
func connectRaw(fd int, addr unsafe.Pointer, size uintptr) unix.Errno {
	args := struct {
		fd   uintptr
		addr unsafe.Pointer
		size uintptr
	}{uintptr(fd), addr, size}
	_, _, errno := unix.Syscall(unix.SYS_SOCKETCALL, 3, uintptr(unsafe.Pointer(&args)), 0)
	return errno
}
