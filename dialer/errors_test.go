package dialer_test

import (
	"context"
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
			dialer.SourceError{Destination: dst, Sources: many, Err: os.NewSyscallError("bind", errAddrNotAvail)},
			[]string{"10.0.0.7 and 12 more", "Dialer.Sources is one of this host"},
			[]string{"10.0.0.8", "no local port"},
		},
		{
			dialer.SourceError{Destination: dst, Err: dialer.ErrNoSource},
			[]string{"192.0.2.1:443", "an IPv4 address to Dialer.Sources"},
			[]string{"from"},
		},
		{
			dialer.SourceError{Destination: netip.MustParseAddrPort("[2001:db8::1]:1"), Err: dialer.ErrNoSource},
			[]string{"an IPv6 address to Dialer.Sources"},
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

func TestExhaustedErrorTellsTheFiguresAndWhatToDo(t *testing.T) {
	dst := netip.MustParseAddrPort("192.0.2.1:443")
	call := os.NewSyscallError("connect", errAddrNotAvail)
	e := &dialer.ExhaustedError{
		Destination: dst, Sources: []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")},
		InUse: 12, TimeWait: 34, Ports: 56, Range: dialer.PortRange{Lo: 20000, Hi: 20027}, Err: call,
	}
	for _, part := range []string{"dialer: ", "no local port", "192.0.2.1:443", "10.0.0.1, 10.0.0.2", "12 in use", "34 in TIME_WAIT", "56", "20000-20027", "connect", "Sources", "keep connections open"} {
		if text := e.Error(); !strings.Contains(text, part) {
			t.Errorf("got %q, want %q in it", text, part)
		}
	}
	if !errors.Is(e, dialer.ErrPortsExhausted) || !errors.Is(e, errAddrNotAvail) || e.Timeout() {
		t.Errorf("got %v, want it to be %v and %v, and no timeout", e, dialer.ErrPortsExhausted, errAddrNotAvail)
	}
	if text := e.Error(); strings.Contains(text, "other processes") {
		t.Errorf("got %q, want nobody else blamed: most ports are in use here", text)
	}
	few := *e
	few.InUse, few.TimeWait = 3, 0
	if text := few.Error(); !strings.Contains(text, "most are taken by other processes") {
		t.Errorf("got %q, want it said who has the other ports", text)
	}
	e.Other = context.DeadlineExceeded
	if !errors.Is(e, dialer.ErrPortsExhausted) || !errors.Is(e, context.DeadlineExceeded) || !e.Timeout() || !strings.Contains(e.Error(), "also: context deadline exceeded") {
		t.Errorf("got %v, want it to be %v and a timeout", e, e.Other)
	}
}
