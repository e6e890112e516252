package dialer_test

import (
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/internal/checks/mustrun"
)

func TestWithoutPollTheRecordIsRightAndPeekSaysUnknown(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	for name, test := range map[string]struct {
		does func(ends)
		want dialer.CloseRecord
	}{
		"we close first":         {func(ends) {}, weFirst},
		"the peer's FIN is here": {func(e ends) { e.peerCloses() }, peerFirst},
		"unread data":            {func(e ends) { e.peerSends() }, weReset},
	} {
		client, server := pair(t, new(dialer.Dialer), l)
		test.does(ends{t, client, server})
		forbidding(t, unix.EPERM, []uint32{unix.SYS_PPOLL}, func() {
			if got := client.Peek(); got != dialer.Unknown {
				t.Errorf("%s: got %v, want %v", name, got, dialer.Unknown)
			}
			client.Close()
		})
		if got, _ := client.CloseRecord(); !same(got, test.want) {
			t.Errorf("%s: got %+v, want %+v", name, got, test.want)
		}
	}
}

// forbidding runs f on a thread on which these system calls fail.
func forbidding(t *testing.T, errno unix.Errno, calls []uint32, f func()) {
	t.Helper()
	var program []unix.SockFilter
	program = append(program, unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}) // the number of the call
	for _, call := range calls {
		program = append(program,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jf: 1},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)})
	}
	program = append(program, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		defer close(done)
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			done <- err
			return
		}
		if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog))); errno != 0 {
			done <- errno
			return
		}
		f()
	}()
	if err := <-done; err != nil {
		mustrun.Skipf(t, "this kernel takes no seccomp filter: %v", err)
	}
}
