package dialer_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
)

func TestPeekTakesNothingOutOfTheSocket(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	for name, test := range map[string]struct {
		does func(ends)
		want dialer.PeerState
		read string // what a Read then finds
		err  error
	}{
		"quiet":               {func(ends) {}, dialer.Quiet, "", os.ErrDeadlineExceeded},
		"data":                {func(e ends) { e.peerSends() }, dialer.HasData, "reply", nil},
		"EOF":                 {func(e ends) { e.peerCloses() }, dialer.ClosedByPeer, "", io.EOF},
		"reset":               {func(e ends) { e.peerResets() }, dialer.ClosedByPeer, "", syscall.ECONNRESET},
		"data and EOF":        {func(e ends) { e.peerSends(); e.must(e.server.CloseWrite()) }, dialer.HasData, "reply", nil},
		"quiet after our FIN": {func(e ends) { e.weClose() }, dialer.Quiet, "", os.ErrDeadlineExceeded},
		"EOF after our FIN":   {func(e ends) { e.weClose(); e.peerCloses() }, dialer.ClosedByPeer, "", io.EOF},
		"EOF read":            {func(e ends) { e.peerCloses(); e.reads(io.EOF) }, dialer.ClosedByPeer, "", io.EOF},
	} {
		client, server := pair(t, new(dialer.Dialer), l)
		test.does(ends{t, client, server})
		// A deadline long past makes Read fail, but not Peek.
		client.SetReadDeadline(time.Unix(1, 0))
		for range 2 {
			if got := client.Peek(); got != test.want {
				t.Errorf("%s: got %v, want %v", name, got, test.want)
			}
			client.CloseState()
		}
		if test.want != dialer.Quiet {
			client.SetReadDeadline(time.Time{})
		}
		p := make([]byte, 10)
		n, err := client.Read(p)
		if string(p[:n]) != test.read || !errors.Is(err, test.err) {
			t.Errorf("%s: read %q, %v after Peek, want %q, %v", name, p[:n], err, test.read, test.err)
		}
	}
}

func TestPeekDoesNotWaitForAReader(t *testing.T) {
	client, server := pair(t, new(dialer.Dialer), listen(t, "127.0.0.1:0"))
	read := make(chan error)
	go func() {
		_, err := client.Read(make([]byte, 1))
		read <- err
	}()
	if got := client.Peek(); got != dialer.Quiet {
		t.Errorf("got %v, want %v", got, dialer.Quiet)
	}
	server.Close()
	if err := <-read; err != io.EOF {
		t.Errorf("the reader got %v, want EOF", err)
	}
	client.Close()
	if got := client.Peek(); got != dialer.ClosedByPeer {
		t.Errorf("after Close: got %v, want %v", got, dialer.ClosedByPeer)
	}
}

func TestPeekAllocatesNothing(t *testing.T) {
	client, _ := pair(t, new(dialer.Dialer), listen(t, "127.0.0.1:0"))
	client.Peek()
	if n := testing.AllocsPerRun(100, func() { client.Peek() }); n >= 1 { // the race detector empties pools now and then
		t.Errorf("got %v allocations, want 0", n)
	}
}

// The kernel counts what goes through read(2), but not what splice moves.
func TestConnsAreSpliced(t *testing.T) {
	const size = 4 << 20
	for name, transfer := range transfers {
		if name == "Read and Write" {
			continue // which copies
		}
		l := listen(t, "127.0.0.1:0")
		in, origin := pair(t, new(dialer.Dialer), l)
		out, sink := pair(t, new(dialer.Dialer), l)
		go func() {
			origin.Write(make([]byte, size))
			origin.Close()
		}()
		done := make(chan error)
		go func() {
			_, err := transfer(out, in)
			out.Close()
			done <- err
		}()
		before := readByProcess(t)
		n, err := io.Copy(io.Discard, struct{ io.Reader }{sink})
		if copyErr := <-done; n != size || err != nil || copyErr != nil {
			t.Errorf("%s: got %d bytes, %v, %v, want %d", name, n, err, copyErr, size)
		}
		if got := readByProcess(t) - before; got > size*3/2 {
			t.Errorf("%s: the process has read %d bytes, want about the %d of the sink: the rest was to be spliced", name, got, size)
		}
	}
}

func readByProcess(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Fatal(err)
	}
	var n int64
	if _, err := fmt.Sscanf(string(text), "rchar: %d", &n); err != nil {
		t.Fatalf("/proc/self/io: %v in %q", err, text)
	}
	return n
}

func BenchmarkPeek(b *testing.B) {
	client, _ := pair(b, new(dialer.Dialer), listen(b, "127.0.0.1:0"))
	b.Run("by=Peek", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			client.Peek()
		}
	})
	b.Run("by=Read", func(b *testing.B) {
		b.ReportAllocs()
		p := make([]byte, 1)
		client.SetReadDeadline(time.Unix(1, 0))
		for b.Loop() {
			client.Read(p)
		}
	})
	b.Run("by=CloseState", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			client.CloseState()
		}
	})
}
