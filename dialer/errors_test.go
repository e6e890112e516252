package dialer_test

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stayopen-go/stayopen/dialer"
)

func TestSourceErrorSaysWhatToDo(t *testing.T) {
	many := make([]netip.Addr, 20)
	for i := range many {
		many[i] = netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
	}
	dst := netip.MustParseAddrPort("192.0.2.1:443")
	for _, test := range []struct {
		err         dialer.SourceError
		want, never []string
	}{
		{
			dialer.SourceError{Destination: dst, Sources: many[:2], Err: os.NewSyscallError("connect", errAddrNotAvail)},
			[]string{"no local port", "192.0.2.1:443", "10.0.0.0, 10.0.0.1", "connect", "add sources", "keep connections open"},
			[]string{"more"},
		},
		{
			dialer.SourceError{Destination: dst, Err: os.NewSyscallError("connect", errAddrNotAvail)},
			[]string{"no local port", "192.0.2.1:443"},
			[]string{"from"},
		},
		{
			dialer.SourceError{Destination: dst, Sources: many, Err: os.NewSyscallError("bind", errAddrNotAvail)},
			[]string{"10.0.0.7 and 12 more", "address of this host"},
			[]string{"10.0.0.8", "no local port"},
		},
		{
			dialer.SourceError{Destination: dst, Err: dialer.ErrNoSource},
			[]string{"192.0.2.1:443", "an IPv4 address to Sources"},
			[]string{"from"},
		},
		{
			dialer.SourceError{Destination: netip.MustParseAddrPort("[2001:db8::1]:1"), Err: dialer.ErrNoSource},
			[]string{"an IPv6 address to Sources"},
			nil,
		},
	} {
		text := test.err.Error()
		for _, part := range append(test.want, "dialer: ") {
			if !strings.Contains(text, part) {
				t.Errorf("got %q, want %q in it", text, part)
			}
		}
		for _, part := range test.never {
			if strings.Contains(text, part) {
				t.Errorf("got %q, want no %q in it", text, part)
			}
		}
		if !errors.Is(&test.err, test.err.Err) {
			t.Errorf("%q is not %v, which it holds", text, test.err.Err)
		}
	}
	if e := (&dialer.SourceError{Err: os.NewSyscallError("connect", syscall.ETIMEDOUT)}); !e.Timeout() {
		t.Error("got no timeout, want what Err says")
	}
}
