package dialer_test

import (
	"errors"
	"io"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/internal/netlab"
)

// A reset throws away what has not been sent, and nothing else: what the peer's
// kernel holds already can be read there.
func TestResetIfCleanLeavesThePeerWhatItHas(t *testing.T) {
	const size = 64 << 10
	conn, server := pair(t, new(dialer.Dialer), listen(t, "127.0.0.1:0"))
	conn.SetCloseMode(dialer.CloseMode{ResetIfClean: true})
	if _, err := conn.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	netlab.Await(t, "the peer's kernel has it all", func() bool { return conn.CloseState().Reset })
	conn.Close()
	if n, err := io.Copy(io.Discard, server); n != size || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the peer read %d bytes, %v, want %d and then a reset", n, err, size)
	}
}

// What CloseState says while the socket waits is what its end would be now.
func TestCloseStateLooksAtTheSocketThatWaits(t *testing.T) {
	conn, _ := pair(t, new(dialer.Dialer), listen(t, "127.0.0.1:0"))
	c := closingBy(conn, dialer.CloseMode{PeerFirst: 100 * time.Millisecond})
	foreseen := c.CloseState()
	c.Close()
	if got := c.CloseState(); !same(got, weFirst) || !same(foreseen, weFirst) {
		t.Errorf("got %+v, and %+v before Close, want %+v", got, foreseen, weFirst)
	}
	c.wantEnd(t, weFirst)
}

// Without a descriptor to spare nothing is waited for.
func TestPoliteCloseWithoutDescriptorsClosesAtOnce(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	for _, mode := range closeModes {
		conn, _ := pair(t, new(dialer.Dialer), l)
		c := closingBy(conn, mode)
		withoutFiles(t, func() { c.Close() })
		if len(c.ended) != 1 {
			t.Errorf("%+v: after Close OnClose was called %d times, want once", mode, len(c.ended))
		}
		c.wantEnd(t, weFirst)
	}
}

// withoutFiles calls f while the process may open nothing.
func withoutFiles(t *testing.T, f func()) {
	t.Helper()
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	none := unix.Rlimit{Cur: 0, Max: before.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
			t.Fatal(err)
		}
	}()
	f()
}

func BenchmarkClose(b *testing.B) {
	l := listen(b, "127.0.0.1:0")
	for _, mode := range []struct {
		name string
		mode dialer.CloseMode
	}{
		{"FIN", dialer.CloseMode{}},
		{"polite", dialer.CloseMode{PeerFirst: time.Second}},
		{"resetIfClean", dialer.CloseMode{ResetIfClean: true}},
	} {
		b.Run("mode="+mode.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				c, s := pair(b, new(dialer.Dialer), l)
				c.SetCloseMode(mode.mode)
				b.StartTimer()
				c.Close()
				b.StopTimer()
				s.SetLinger(0)
				s.Close()
				b.StartTimer()
			}
		})
	}
}
