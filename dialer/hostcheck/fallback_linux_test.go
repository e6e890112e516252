package hostcheck_test

import (
	"errors"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/stayopen-go/stayopen/dialer/hostcheck"
	"github.com/stayopen-go/stayopen/internal/checks/mustrun"
)

// A seccomp filter forbids the socket, as that of a container may. It is for
// good, so this needs a process of its own.
func TestWithoutSockDiagTheTablesAreReadAndTheCensusSaysSo(t *testing.T) {
	if !inLab(t, nil) {
		return
	}
	l, six := listen(t, "127.0.0.1:0"), listen(t, "[::1]:0")
	pair(t, l)
	timeWaits(t, l, 4)
	timeWaits(t, six, 2)
	want := take(t, hostcheck.Filter{})
	forbidNetlink(t)
	got := take(t, hostcheck.Filter{})
	if got.From != "/proc/net/tcp" || !errors.Is(got.Fallback, syscall.EPERM) {
		t.Errorf("got a census from %s because of %v, want one from /proc/net/tcp because of EPERM", got.From, got.Fallback)
	}
	for g, n := range want.Counts {
		if got.Counts[g] != n {
			t.Errorf("got %d of %+v, want %d as sock_diag has it", got.Counts[g], g, n)
		}
	}
	if len(got.Counts) != len(want.Counts) {
		t.Errorf("got %v, want %v", got.Counts, want.Counts)
	}
	f := hostcheck.Filter{States: []hostcheck.State{hostcheck.TimeWait}, Destination: netip.MustParsePrefix("::1/128")}
	for s, err := range hostcheck.Sockets(t.Context(), f) {
		if err != nil || s.State != hostcheck.TimeWait || s.Remote != end(six) || s.Expires <= 0 {
			t.Errorf("got %+v, %v, want a TIME_WAIT to %v that expires", s, err, end(six))
		}
	}
	if got := take(t, f).Total(); got != 2 {
		t.Errorf("got %d TIME_WAITs over IPv6, want 2", got)
	}
}

// forbidNetlink makes every thread of this process fail to make a netlink
// socket, with EPERM.
func forbidNetlink(t *testing.T) {
	t.Helper()
	const jeq, ret, ld = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K, unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	arg := uint32(16) // struct seccomp_data.args[0], the half with the low bits
	if runtime.GOARCH == "s390x" || runtime.GOARCH == "ppc64" {
		arg += 4
	}
	program := []unix.SockFilter{
		{Code: ld, K: 0}, // the number of the system call
		{Code: jeq, K: unix.SYS_SOCKET, Jf: 3},
		{Code: ld, K: arg}, // the family
		{Code: jeq, K: unix.AF_NETLINK, Jf: 1},
		{Code: ret, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: ret, K: unix.SECCOMP_RET_ALLOW},
	}
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	// With root's privileges the filter needs no PR_SET_NO_NEW_PRIVS.
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		mustrun.Skipf(t, "this kernel takes no seccomp filter: %v", errno)
	}
}
