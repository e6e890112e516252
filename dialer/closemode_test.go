package dialer_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/stayopen-go/stayopen/dialer"
)

// longer is a wait that no test sees the end of.
const longer = time.Hour

var closeModes = map[string]dialer.CloseMode{
	"FIN":                     {},
	"polite":                  {PeerFirst: 50 * time.Millisecond},
	"reset if clean":          {ResetIfClean: true},
	"polite, reset if clean":  {PeerFirst: 50 * time.Millisecond, ResetIfClean: true},
	"polite for a short time": {PeerFirst: time.Nanosecond},
}

func TestConnIsANetConnInEveryCloseMode(t *testing.T) {
	for name, mode := range closeModes {
		t.Run(name, func(t *testing.T) { testNetConn(t, mode) })
	}
	wantNothingCountedSoon(t)
}

func testNetConn(t *testing.T, mode dialer.CloseMode) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, nil, nil, err
		}
		defer l.Close()
		c, err := (&dialer.Dialer{Sources: prefixes("127.0.0.1/32")}).Dial("tcp", l.Addr().String())
		if err != nil {
			return nil, nil, nil, err
		}
		s, err := l.Accept()
		if err != nil {
			c.Close()
			return nil, nil, nil, err
		}
		peer := dialer.Wrap(s.(*net.TCPConn))
		for _, end := range []*dialer.Conn{c.(*dialer.Conn), peer} {
			end.SetCloseMode(mode)
		}
		return resetIsEOF{c}, resetIsEOF{peer}, func() { c.Close(); peer.Close() }, nil
	})
}

// resetIsEOF is a connection whose peer may close it by a reset. What nettest
// wants to read then is EOF.
type resetIsEOF struct{ net.Conn }

func (c resetIsEOF) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if errors.Is(err, errConnReset) {
		err = io.EOF
	}
	return n, err
}

// closing is a connection whose end is waited for.
type closing struct {
	*dialer.Conn
	ended chan dialer.CloseRecord // OnClose sends to it
}

func closingBy(c *dialer.Conn, mode dialer.CloseMode) closing {
	ended := make(chan dialer.CloseRecord, 2) // room for one that must not be
	c.SetCloseMode(mode)
	c.OnClose(func(r dialer.CloseRecord) { ended <- r })
	return closing{c, ended}
}

// wantEnd waits for the record, and fails the test if it is another or if it is
// not the one that the Conn has.
func (c closing) wantEnd(t *testing.T, want dialer.CloseRecord) {
	t.Helper()
	got := <-c.ended
	if !same(got, want) {
		t.Errorf("got the end %+v, want %+v", got, want)
	}
	if record, final := c.CloseRecord(); !final || record != got {
		t.Errorf("CloseRecord: got %+v, %v, want %+v, which OnClose was told", record, final, got)
	}
	if state := c.CloseState(); state != got {
		t.Errorf("CloseState: got %+v, want %+v, which OnClose was told", state, got)
	}
}

func (c closing) wantNoEnd(t *testing.T) {
	t.Helper()
	if record, final := c.CloseRecord(); final || record != (dialer.CloseRecord{}) {
		t.Errorf("got the record %+v, %v, want none while the socket waits for the peer", record, final)
	}
	if len(c.ended) > 0 {
		t.Errorf("OnClose was told of %+v, want nothing while the socket waits for the peer", <-c.ended)
	}
}

func TestPoliteCloseEndsEveryCallAtOnce(t *testing.T) {
	needPoliteClose(t)
	l := listen(t, "127.0.0.1:0")
	// other always has something to read, and is never written to.
	other, source := pair(t, new(dialer.Dialer), l)
	sending := make(chan struct{})
	go func() {
		defer close(sending)
		for err := error(nil); err == nil; {
			_, err = source.Write(make([]byte, 1<<16))
		}
	}()
	defer func() {
		source.Close()
		<-sending
	}()
	for name, use := range map[string]func(*dialer.Conn) error{
		"Read":    func(c *dialer.Conn) error { _, err := c.Read(make([]byte, 1)); return err },
		"WriteTo": func(c *dialer.Conn) error { _, err := c.WriteTo(other); return err },
		"Write": func(c *dialer.Conn) error {
			for {
				if _, err := c.Write(make([]byte, 1<<20)); err != nil {
					return err
				}
			}
		},
		"ReadFrom": func(c *dialer.Conn) error { _, err := c.ReadFrom(other); return err },
		"SyscallConn": func(c *dialer.Conn) error {
			raw, err := c.SyscallConn()
			if err != nil {
				return err
			}
			return raw.Read(func(uintptr) bool { return false })
		},
	} {
		t.Run(name, func(t *testing.T) {
			conn, server := pair(t, new(dialer.Dialer), l)
			c := closingBy(conn, dialer.CloseMode{PeerFirst: longer})
			inProgress := make(chan error)
			go func() { inProgress <- use(conn) }()
			if err := c.Close(); err != nil {
				t.Errorf("Close: got %v, want success", err)
			}
			if err := <-inProgress; !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s in progress: got %v, want net.ErrClosed", name, err)
			}
			if err := use(conn); !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s after Close: got %v, want net.ErrClosed", name, err)
			}
			for what, err := range map[string]error{
				"CloseWrite": c.CloseWrite(), "SetDeadline": c.SetDeadline(time.Time{}), "SetLinger": c.SetLinger(0), "Close": c.Close(), "Reset": c.Reset(),
			} {
				if !errors.Is(err, net.ErrClosed) {
					t.Errorf("%s after Close: got %v, want net.ErrClosed", what, err)
				}
			}
			c.wantNoEnd(t)
			server.Close()
			<-c.ended
		})
	}
}

func TestPoliteCloseLeavesItToThePeer(t *testing.T) {
	needPoliteClose(t)
	conn, server := pair(t, &dialer.Dialer{Sources: prefixes("127.0.0.1/32")}, listen(t, "127.0.0.1:0"))
	c := closingBy(conn, dialer.CloseMode{PeerFirst: longer})
	before := time.Now()
	c.Close()
	after := time.Now()
	c.wantNoEnd(t)
	if _, err := server.Write(bytes.Repeat([]byte("late"), 1000)); err != nil {
		t.Errorf("the peer wrote with %v, want success: nothing has been closed yet", err)
	}
	server.SetReadDeadline(time.Now().Add(time.Millisecond))
	if n, err := server.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the peer read %d, %v, want a timeout: no FIN is sent before its own", n, err)
	}
	server.SetReadDeadline(time.Time{})
	server.CloseWrite()
	c.wantEnd(t, dialer.CloseRecord{By: dialer.Peer})
	if record, _ := c.CloseRecord(); record.At.Before(before) || record.At.After(after) {
		t.Errorf("got At %v, want the time of Close, between %v and %v", record.At, before, after)
	}
	if n, err := server.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("the peer read %d, %v, want EOF", n, err)
	}
	if n := c.BytesRead(); n != 0 {
		t.Errorf("got %d bytes read, want 0: what was thrown away is not counted", n)
	}
	if len(c.ended) > 0 {
		t.Error("OnClose was called twice, want once")
	}
	wantNothingCountedSoon(t)
}

func TestPoliteCloseHearsThePeersReset(t *testing.T) {
	needPoliteClose(t)
	conn, server := pair(t, new(dialer.Dialer), listen(t, "127.0.0.1:0"))
	c := closingBy(conn, dialer.CloseMode{PeerFirst: longer})
	c.Close()
	server.SetLinger(0)
	server.Close()
	if got := <-c.ended; got.By != dialer.Peer || got.TimeWait {
		t.Errorf("got %+v, want the peer's doing", got)
	}
}

func TestPoliteCloseDoesNotReadForEver(t *testing.T) {
	needPoliteClose(t)
	conn, server := pair(t, new(dialer.Dialer), listen(t, "127.0.0.1:0"))
	c := closingBy(conn, dialer.CloseMode{PeerFirst: longer})
	c.Close()
	var err error
	for err == nil {
		_, err = server.Write(make([]byte, 1<<16))
	}
	<-c.ended
}

func TestPoliteCloseEndsWhenTheTimeIsOver(t *testing.T) {
	needPoliteClose(t)
	l := listen(t, "127.0.0.1:0")
	for name, set := range map[string]func(*dialer.Conn){
		"as it is": func(*dialer.Conn) {},
		// All descriptors of a socket share its mode.
		"in blocking mode": func(c *dialer.Conn) {
			f, err := c.File()
			if err != nil {
				t.Fatal(err)
			}
			f.Fd() // which makes it blocking
			f.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			conn, server := pair(t, new(dialer.Dialer), l)
			set(conn)
			c := closingBy(conn, dialer.CloseMode{PeerFirst: 20 * time.Millisecond})
			c.Close()
			if got := <-c.ended; got.By == dialer.Peer || got.Reset {
				t.Errorf("got %+v, want our own FIN", got)
			}
			if n, err := server.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("the peer read %d, %v, want EOF", n, err)
			}
		})
	}
}

func TestSetCloseModeEndsTheWaitForThePeer(t *testing.T) {
	needPoliteClose(t)
	l := listen(t, "127.0.0.1:0")
	for _, then := range []dialer.CloseMode{{}, {ResetIfClean: true}, {PeerFirst: -1}} {
		conn, server := pair(t, new(dialer.Dialer), l)
		c := closingBy(conn, dialer.CloseMode{PeerFirst: longer})
		c.Close()
		c.SetCloseMode(dialer.CloseMode{PeerFirst: time.Nanosecond, ResetIfClean: true}) // a wait is not changed
		c.wantNoEnd(t)
		c.SetCloseMode(then)
		reset := then.ResetIfClean && runtime.GOOS == "linux"
		if got := <-c.ended; got.By == dialer.Peer || got.Reset != reset {
			t.Errorf("%+v: got the end %+v, want ours, a reset %v", then, got, reset)
		}
		c.SetCloseMode(dialer.CloseMode{}) // it is too late
		if _, err := server.Read(make([]byte, 1)); reset != errors.Is(err, errConnReset) {
			t.Errorf("%+v: the peer read %v, want a reset %v", then, err, reset)
		}
	}
}

func TestOnlySoManySocketsWaitForTheirPeers(t *testing.T) {
	needPoliteClose(t)
	const atMost = 256
	l := listen(t, "127.0.0.1:0")
	var waiting []closing
	var servers []*net.TCPConn
	for range atMost {
		conn, server := pair(t, new(dialer.Dialer), l)
		c := closingBy(conn, dialer.CloseMode{PeerFirst: longer})
		c.Close()
		waiting, servers = append(waiting, c), append(servers, server)
	}
	for range 2 {
		conn, server := pair(t, new(dialer.Dialer), l)
		c := closingBy(conn, dialer.CloseMode{PeerFirst: longer})
		c.Close()
		if got := <-c.ended; got.By == dialer.Peer {
			t.Errorf("got %+v, want a close of our own: there is no place left", got)
		}
		if n, err := server.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("the peer read %d, %v, want EOF at once", n, err)
		}
	}
	for i, c := range waiting {
		c.wantNoEnd(t)
		servers[i].Close()
		c.wantEnd(t, dialer.CloseRecord{By: dialer.Peer})
	}
	conn, server := pair(t, new(dialer.Dialer), l)
	c := closingBy(conn, dialer.CloseMode{PeerFirst: longer})
	c.Close()
	c.wantNoEnd(t) // the places are free again
	server.Close()
	<-c.ended
}

func TestOnCloseMayCallTheConnAndIsCalledOnce(t *testing.T) {
	for name, end := range map[string]func(*dialer.Conn) error{"Close": (*dialer.Conn).Close, "Reset": (*dialer.Conn).Reset} {
		for modeName, mode := range closeModes {
			conn, server := pair(t, &dialer.Dialer{Sources: prefixes("127.0.0.1/32")}, listen(t, "127.0.0.1:0"))
			calls := make(chan int, 2)
			conn.SetCloseMode(mode)
			conn.OnClose(func(dialer.CloseRecord) { t.Errorf("%s, %s: an OnClose that was replaced is called", name, modeName) })
			conn.OnClose(func(dialer.CloseRecord) {
				conn.Close()
				conn.CloseState()
				conn.OnClose(nil)
				conn.SetCloseMode(dialer.CloseMode{})
				calls <- dialer.Counted()
			})
			end(conn)
			conn.OnClose(func(dialer.CloseRecord) { t.Errorf("%s, %s: an OnClose set after Close is called", name, modeName) })
			server.Close()
			if left := <-calls; left != 0 {
				t.Errorf("%s, %s: %d connections are still counted in OnClose, want 0", name, modeName, left)
			}
			conn.Close()
			conn.Reset()
			if len(calls) > 0 {
				t.Errorf("%s, %s: OnClose was called twice", name, modeName)
			}
		}
	}
}

// Whoever closes while another writes must not cut off what that one was told
// is written.
func TestCloseLosesNothingThatWasWritten(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	for name, mode := range closeModes {
		mode.PeerFirst = min(mode.PeerFirst, time.Millisecond) // the peer closes last here
		t.Run(name, func(t *testing.T) {
			for range 100 {
				conn, server := pair(t, new(dialer.Dialer), l)
				c := closingBy(conn, mode)
				var wg sync.WaitGroup
				wg.Go(func() {
					for {
						if _, err := c.Write(make([]byte, 4<<10)); err != nil {
							return
						}
					}
				})
				if _, err := io.CopyN(io.Discard, server, 100<<10); err != nil {
					t.Fatal(err)
				}
				c.Close()
				wg.Wait()
				n, err := io.Copy(io.Discard, server)
				record := <-c.ended
				if got, want := 100<<10+n, c.BytesWritten(); got != want || (err != nil) != record.Reset {
					t.Fatalf("the peer read %d bytes, %v, want %d written; %+v", got, err, want, record)
				}
				server.Close()
			}
		})
	}
}

func TestConnCanBeClosedInEveryModeWhileInUse(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	for name, mode := range closeModes {
		for range 20 {
			conn, s := pair(t, &dialer.Dialer{Sources: prefixes("127.0.0.1/32")}, l)
			c := closingBy(conn, mode)
			var wg sync.WaitGroup
			for _, use := range []func(){
				func() { io.Copy(io.Discard, struct{ io.Reader }{c}) },
				func() { c.WriteTo(io.Discard) },
				func() { c.Write(make([]byte, 1<<20)) },
				func() { c.ReadFrom(bytes.NewReader(make([]byte, 1<<20))) },
				func() { c.Peek(); c.CloseState(); c.CloseRecord() },
				func() { c.SetCloseMode(mode) },
				func() { c.CloseWrite() },
				func() { c.Close() },
				func() { c.Close(); c.CloseState() },
				func() { s.Write(make([]byte, 1<<16)); io.CopyN(io.Discard, s, 1<<16); s.Close() },
			} {
				wg.Go(use)
			}
			wg.Wait()
			record := <-c.ended
			if got, final := c.CloseRecord(); !final || got != record {
				t.Fatalf("%s: got record %+v, %v, want %+v", name, got, final, record)
			}
		}
	}
	wantNothingCountedSoon(t)
}

// same compares records but for the time.
func same(a, b dialer.CloseRecord) bool {
	a.At = b.At
	return a == b
}

// wantNothingCountedSoon is wantNothingCounted for connections that may still
// wait for their peers.
func wantNothingCountedSoon(t *testing.T) {
	t.Helper()
	ask := time.NewTicker(time.Millisecond)
	defer ask.Stop()
	timeout := time.After(10 * time.Second)
	for dialer.Counted() > 0 {
		select {
		case <-ask.C:
		case <-timeout:
			t.Fatalf("after 10 s %d connections are still counted, want 0", dialer.Counted())
		}
	}
}

// needPoliteClose skips the test where the peer is never waited for.
func needPoliteClose(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("on Windows Close does not wait for the peer")
	}
}
