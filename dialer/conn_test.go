package dialer_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
)

func TestWrappedConnIsTheTCPConn(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	before := time.Now()
	client, server := pair(t, new(dialer.Dialer), l)
	w := dialer.Wrap(server)
	if w.NetConn() != net.Conn(server) || client.NetConn() != net.Conn(client.TCPConn) {
		t.Error("NetConn: got another connection, want the TCPConn itself")
	}
	if w.Source().IsValid() {
		t.Errorf("got source %v, want none for a wrapped connection", w.Source())
	}
	for _, c := range []*dialer.Conn{w, client} {
		if at := c.OpenedAt(); at.Before(before) || at.After(time.Now()) {
			t.Errorf("got opened at %v, want between %v and now", at, before)
		}
	}
}

// transfer is a way to move the content of a file from one connection to the
// next, all of which are to count the same.
var transfers = map[string]func(dst, src *dialer.Conn) (int64, error){
	"ReadFrom": func(dst, src *dialer.Conn) (int64, error) { return dst.ReadFrom(src) },
	"ReadFrom limited": func(dst, src *dialer.Conn) (int64, error) {
		limited := &io.LimitedReader{R: src, N: 1 << 40}
		n, err := dst.ReadFrom(limited)
		if limited.N != 1<<40-n {
			err = errors.Join(err, errors.New("the limit was not lowered by what was read"))
		}
		return n, err
	},
	"WriteTo":         func(dst, src *dialer.Conn) (int64, error) { return src.WriteTo(dst) },
	"WriteTo TCPConn": func(dst, src *dialer.Conn) (int64, error) { return src.WriteTo(dst.TCPConn) },
	"io.Copy":         func(dst, src *dialer.Conn) (int64, error) { return io.Copy(dst, src) },
	"Read and Write": func(dst, src *dialer.Conn) (int64, error) {
		return io.Copy(struct{ io.Writer }{dst}, struct{ io.Reader }{src})
	},
}

func TestBytesAreCountedWhicheverWayTheyGo(t *testing.T) {
	content := bytes.Repeat([]byte("stayopen"), 100_000)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, transfer := range transfers {
		t.Run(name, func(t *testing.T) {
			l := listen(t, "127.0.0.1:0")
			origin, tcp := pair(t, new(dialer.Dialer), l)
			in := dialer.Wrap(tcp)
			out, tcp := pair(t, new(dialer.Dialer), l)
			sink := dialer.Wrap(tcp)
			var wg sync.WaitGroup
			defer wg.Wait()
			wg.Go(func() {
				f, err := os.Open(path)
				if err != nil {
					t.Error(err)
					return
				}
				defer f.Close()
				if n, err := origin.ReadFrom(f); n != int64(len(content)) || err != nil {
					t.Errorf("sent %d of the file, %v, want %d", n, err, len(content))
				}
				origin.Close()
			})
			wg.Go(func() {
				n, err := transfer(out, in)
				if n != int64(len(content)) || err != nil {
					t.Errorf("transferred %d, %v, want %d", n, err, len(content))
				}
				out.Close()
			})
			got, err := io.ReadAll(sink)
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("got %d bytes, %v, want the file's %d", len(got), err, len(content))
			}
			wg.Wait()
			passedBy := name == "WriteTo TCPConn" // the writer is not a Conn
			for _, count := range []struct {
				what string
				got  int64
				want bool
			}{
				{"the origin's written", origin.BytesWritten(), true},
				{"the proxy's read", in.BytesRead(), true},
				{"the proxy's written", out.BytesWritten(), !passedBy},
				{"the sink's read", sink.BytesRead(), true},
			} {
				if count.want && count.got != int64(len(content)) {
					t.Errorf("%s: got %d bytes, want %d", count.what, count.got, len(content))
				}
			}
		})
	}
}

// Package os looks for the socket behind SyscallConn, and would write to it, or read
// from it, itself.
func TestBytesBetweenAConnAndAFileAreCounted(t *testing.T) {
	const size = 1 << 20
	open := func() *os.File {
		f, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	for name, receive := range map[string]func(f *os.File, c *dialer.Conn) (int64, error){
		"io.Copy":  func(f *os.File, c *dialer.Conn) (int64, error) { return io.Copy(f, c) },
		"io.CopyN": func(f *os.File, c *dialer.Conn) (int64, error) { return io.CopyN(f, c, size) },
	} {
		t.Run(name, func(t *testing.T) {
			out, tcp := pair(t, new(dialer.Dialer), listen(t, "127.0.0.1:0"))
			in := dialer.Wrap(tcp)
			from := open()
			if err := from.Truncate(size); err != nil {
				t.Fatal(err)
			}
			sent := make(chan error, 1)
			go func() {
				_, err := io.Copy(out, from)
				sent <- errors.Join(err, out.CloseWrite())
			}()
			if n, err := receive(open(), in); n != size || err != nil {
				t.Errorf("received %d bytes, %v, want %d", n, err, size)
			}
			if err := <-sent; err != nil {
				t.Errorf("sending: %v", err)
			}
			if got := out.BytesWritten(); got != size {
				t.Errorf("written: got %d bytes, want %d", got, size)
			}
			if got := in.BytesRead(); got != size {
				t.Errorf("read: got %d bytes, want %d", got, size)
			}
		})
	}
}

func TestSecondCloseIsLikeTCPConns(t *testing.T) {
	for name, second := range map[string]func(*dialer.Conn) error{"Close": (*dialer.Conn).Close, "Reset": (*dialer.Conn).Reset} {
		c, _ := pair(t, &dialer.Dialer{Sources: prefixes("127.0.0.1/32")}, listen(t, "127.0.0.1:0"))
		if err := c.Close(); err != nil {
			t.Errorf("first Close: got %v, want success", err)
		}
		first, closed := c.CloseRecord()
		if !closed {
			t.Error("got no record after Close, want one")
		}
		if err := second(c); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s after Close: got %v, want net.ErrClosed", name, err)
		}
		if again, _ := c.CloseRecord(); again != first {
			t.Errorf("record: got %+v after %s, want still %+v", again, name, first)
		}
		if state := c.CloseState(); state != first {
			t.Errorf("CloseState after Close: got %+v, want the record %+v", state, first)
		}
		for what, err := range map[string]error{"CloseWrite": c.CloseWrite(), "SetLinger": c.SetLinger(1)} {
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s after Close: got %v, want net.ErrClosed", what, err)
			}
		}
	}
	wantNothingCounted(t)
}

func TestConnClosedPastItselfIsOfUnknownEnd(t *testing.T) {
	c, _ := pair(t, new(dialer.Dialer), listen(t, "127.0.0.1:0"))
	c.NetConn().Close()
	if err := c.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want net.ErrClosed", err)
	}
	if record, closed := c.CloseRecord(); !closed || record.By != dialer.UnknownInitiator || record.TimeWait {
		t.Errorf("got %+v, %v, want an unknown end", record, closed)
	}
}

func TestConnCanBeUsedAndClosedConcurrently(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	for i := range 50 {
		c, s := pair(t, &dialer.Dialer{Sources: prefixes("127.0.0.1/32")}, l)
		var wg sync.WaitGroup
		for _, use := range []func(){
			func() { io.Copy(io.Discard, struct{ io.Reader }{c}) },
			func() { c.WriteTo(io.Discard) },
			func() { c.Write(make([]byte, 1<<20)) },
			func() { c.ReadFrom(bytes.NewReader(make([]byte, 1<<20))) },
			func() { c.Peek(); c.CloseState(); c.CloseRecord() },
			func() { c.BytesRead(); c.BytesWritten(); c.SetLinger(-1) },
			func() { s.Write(make([]byte, 1<<16)); io.Copy(io.Discard, s) },
			func() { c.CloseWrite() },
			func() { c.CloseWrite(); c.Peek(); c.Close() },
			func() {
				if i%3 == 0 {
					c.Reset()
				} else {
					c.Close()
				}
			},
		} {
			wg.Go(use)
		}
		wg.Wait()
		if _, closed := c.CloseRecord(); !closed {
			t.Fatal("got no record, want one: Close has returned")
		}
	}
	wantNothingCounted(t)
}
