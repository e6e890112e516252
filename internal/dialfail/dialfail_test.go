package dialfail_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/internal/dialfail"
)

func TestErrorsAreSortedByStepAndKind(t *testing.T) {
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	for _, c := range []struct {
		err        error
		step, kind string
	}{
		{dial(&net.DNSError{Err: "no such host", Name: "a.example", IsNotFound: true}), dialfail.DNS, dialfail.NoHost},
		{dial(&net.DNSError{Err: "i/o timeout", Name: "a.example", IsTimeout: true}), dialfail.DNS, dialfail.Timeout},
		{dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), dialfail.Connect, "ECONNREFUSED"},
		{dial(os.NewSyscallError("bind", syscall.EADDRINUSE)), dialfail.Socket, "EADDRINUSE"},
		{dial(os.ErrDeadlineExceeded), dialfail.Connect, dialfail.Timeout},
		{dial(context.Canceled), dialfail.Connect, dialfail.Canceled},
		{dial(&dialer.ExhaustedError{Err: os.NewSyscallError("connect", syscall.EADDRNOTAVAIL)}), dialfail.Connect, dialfail.Ports},
		{dial(&dialer.FilesError{Err: os.NewSyscallError("socket", syscall.EMFILE)}), dialfail.Socket, dialfail.Files},
		{dial(&dialer.SourceError{Destination: netip.MustParseAddrPort("192.0.2.1:1"), Err: dialer.ErrNoSource}), dialfail.Socket, dialfail.NoSource},
		{tls.AlertError(40), dialfail.TLS, dialfail.Alert},
		{fmt.Errorf("proxy: %w", io.EOF), dialfail.Other, dialfail.EOF},
		{errors.New("what is this?"), dialfail.Other, dialfail.Unknown},
	} {
		if step, kind := dialfail.Of(c.err); step != c.step || kind != c.kind {
			t.Errorf("%v: got %s, %s, want %s, %s", c.err, step, kind, c.step, c.kind)
		}
	}
}

func TestRealFailuresAreSortedTheSame(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	_, err = new(dialer.Dialer).Dial("tcp", l.Addr().String())
	if step, kind := dialfail.Of(err); step != dialfail.Connect || kind != "ECONNREFUSED" {
		t.Errorf("%v: got %s, %s, want connect, ECONNREFUSED", err, step, kind)
	}
	ctx, cancel := context.WithDeadline(context.Background(), time.Unix(1, 0))
	defer cancel()
	_, err = new(dialer.Dialer).DialContext(ctx, "tcp", l.Addr().String())
	if _, kind := dialfail.Of(err); kind != dialfail.Timeout {
		t.Errorf("%v: got %s, want timeout", err, kind)
	}
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	_, err = tls.Dial("tcp", s.Listener.Addr().String(), &tls.Config{ServerName: "a.example"})
	if step, kind := dialfail.Of(err); step != dialfail.TLS || kind != dialfail.Certificate {
		t.Errorf("%v: got %s, %s, want tls, certificate", err, step, kind)
	}
}
