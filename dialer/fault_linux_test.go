package dialer

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
)

func TestFaultsAreToldByCallAndErrno(t *testing.T) {
	for _, test := range []struct {
		call  string
		errno syscall.Errno
		want  fault
	}{
		{"connect", syscall.EADDRNOTAVAIL, noPort},
		{"connect", syscall.EADDRINUSE, noPort},
		{"bind", syscall.EADDRINUSE, noPort},
		{"bind", syscall.EADDRNOTAVAIL, notOurs},
		{"bind", syscall.EINVAL, noWay},
		{"connect", syscall.ENETUNREACH, noWay},
		{"connect", syscall.EHOSTUNREACH, noWay},
		{"connect", syscall.EINVAL, noWay},
		{"connect", syscall.ECONNREFUSED, notSource},
		{"connect", syscall.ETIMEDOUT, notSource},
		{"bind", syscall.EACCES, notSource},
		{"socket", syscall.EMFILE, notSource},
		{"setsockopt", syscall.EADDRNOTAVAIL, notSource},
	} {
		err := &net.OpError{Op: "dial", Err: os.NewSyscallError(test.call, test.errno)}
		if got := faultOf(err); got != test.want {
			t.Errorf("%v: got %d, want %d", err, got, test.want)
		}
	}
	for _, err := range []error{nil, errors.New("other"), syscall.EADDRNOTAVAIL, os.NewSyscallError("connect", errors.New("other"))} {
		if got := faultOf(err); got != notSource {
			t.Errorf("%v: got %d, want %d", err, got, notSource)
		}
	}
}

func TestOptionThatTheKernelLacksIsLeftOut(t *testing.T) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	lacking := option{name: "IP_NO_SUCH_OPTION", number: 9999}
	for range 2 {
		if err := lacking.set(fd, 1); err != nil || !lacking.missing.Load() {
			t.Errorf("got %v, missing %v, want it noted as missing and no error", err, lacking.missing.Load())
		}
	}
	for _, o := range []*option{&bindNoPort, &freebind} {
		if err := o.set(fd, 1); err != nil || o.missing.Load() {
			t.Errorf("%s: got %v, missing %v, want it set", o.name, err, o.missing.Load())
		}
		if err := o.set(-1, 1); !errors.Is(err, syscall.EBADF) {
			t.Errorf("%s: got %v on a bad descriptor, want %v: only a missing option is no error", o.name, err, syscall.EBADF)
		}
	}
}
