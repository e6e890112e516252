package dialer_test

import (
	"context"
	"net/http/httptrace"
	"net/netip"
	"runtime"
	"syscall"
	"testing"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/internal/netlab"
)

// dialAndPanic dials with a Control that panics, or ends its goroutine, at its
// nth call, and reports whether it got that far.
func dialAndPanic(t *testing.T, d dialer.Dialer, addr string, nth int, end func()) (ended bool) {
	t.Helper()
	calls := 0
	d.Control = func(string, string, syscall.RawConn) error {
		if calls++; calls == nth {
			ended = true
			end()
		}
		return nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { recover() }()
		if c, err := d.Dial("tcp4", addr); err == nil {
			c.(*dialer.Conn).Reset()
		}
	}()
	<-done
	return ended
}

func TestControlThatPanicsLeavesNothingCounted(t *testing.T) {
	port, inside := inLab(t, narrowLab)
	if !inside {
		return
	}
	names := &nameServer{TB: t, hosts: map[string][]string{"server.test": {netlab.ServerAddr.String()}}}
	literal, host := netlab.ServerAddr.String()+":"+port, "server.test:"+port
	for name, end := range map[string]func(){
		"panic":  func() { panic("the user's") },
		"Goexit": runtime.Goexit,
	} {
		for _, sources := range [][]netip.Prefix{
			prefixes("198.18.0.1/32"),
			prefixes("127.0.0.1/32", "127.0.0.2/32", "198.18.0.1/32"), // of which two have no way
		} {
			d := dialer.Dialer{Sources: sources, Resolver: names.resolver()}
			for _, addr := range []string{literal, host} {
				if !dialAndPanic(t, d, addr, 1, end) {
					t.Errorf("%s, %s: the Control was not called", name, addr)
				}
				wantNothingCounted(t)
				dialAndPanic(t, d, addr, 2, end)
				dialAndPanic(t, d, addr, 3, end)
				wantNothingCounted(t)
			}
		}
		// The kernel has no port, which the ledger does not know, and net repeats.
		all := openAll((&dialer.Dialer{}).Dial, []string{literal}, 100)
		for _, addr := range []string{literal, host} {
			d := dialer.Dialer{Sources: prefixes("198.18.0.1/32"), Resolver: names.resolver()}
			if !dialAndPanic(t, d, addr, 2, end) {
				t.Errorf("%s, %s: got one socket, want the next one as the first finds no port", name, addr)
			}
			wantNothingCounted(t)
		}
		release(all)
	}
}

func TestControlThatPanicsAfterAWaitLeavesNothingCounted(t *testing.T) {
	port, inside := inLab(t, narrowLab)
	if !inside {
		return
	}
	names := &nameServer{TB: t, hosts: map[string][]string{"server.test": {netlab.ServerAddr.String()}}}
	literal, host := netlab.ServerAddr.String()+":"+port, "server.test:"+port
	// The dial of a host has called Control when it finds that it has to wait.
	for addr, nth := range map[string]int{literal: 1, host: 2} {
		d := dialer.Dialer{Sources: prefixes("198.18.0.1/32"), Resolver: names.resolver(), WaitForPort: true}
		all := openAll((&dialer.Dialer{Sources: d.Sources}).Dial, []string{literal}, 100)
		ended := make(chan bool)
		go func() { ended <- dialAndPanic(t, d, addr, nth, func() { panic("the user's") }) }()
		netlab.Await(t, "the dial waits", func() bool { return dialer.Counted() > len(all) })
		release(all)
		if !<-ended {
			t.Errorf("%s: the Control was not called", addr)
		}
		wantNothingCounted(t)
	}
}

func TestTraceThatPanicsLeavesNothingCounted(t *testing.T) {
	port, inside := inLab(t, nil)
	if !inside {
		return
	}
	names := &nameServer{TB: t, hosts: map[string][]string{"server.test": {netlab.ServerAddr.String()}}}
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		ConnectDone: func(string, string, error) { panic("the user's") },
	})
	d := dialer.Dialer{Sources: prefixes("198.18.0.1/32"), Resolver: names.resolver()}
	for _, addr := range []string{netlab.ServerAddr.String() + ":" + port, "server.test:" + port} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: got no panic, want the hook's", addr)
				}
			}()
			d.DialContext(ctx, "tcp4", addr)
		}()
		wantNothingCounted(t)
	}
}
