package netconn_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"testing"

	"golang.org/x/net/nettest"

	"github.com/stayopen-go/stayopen/pool/netconn"
)

// Over TLS the tests would fail: no tls.Conn can be written to after a timeout.
func TestAConnIsANetConn(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		r := newRig(t, netconn.Config{})
		c, s := r.open()
		return c, s, func() {
			c.Close()
			s.Close()
			r.pool.Close()
		}, nil
	})
}

func TestIOCopySplicesWhereNetDoesAndTheConnectionIsKept(t *testing.T) {
	const size = 4 << 20
	overBoth(t, netconn.Config{}, func(t *testing.T, r *rig) {
		source, from := newRig(t, netconn.Config{OneWay: true}).open()
		c, s := r.open()
		go func() { // ends when all is read
			from.Write(make([]byte, size))
			from.Close()
		}()
		received := make(chan int64)
		go func() { // ends when all has come
			n, _ := io.CopyN(io.Discard, s, size)
			received <- n
		}()
		before := readByProcess(t)
		if n, err := io.Copy(c, source); n != size || err != nil {
			t.Errorf("io.Copy: got %d, %v, want %d", n, err, size)
		}
		if n := <-received; n != size {
			t.Errorf("the peer got %d bytes, want %d", n, size)
		}
		if got := readByProcess(t) - before; r.certs == nil && got > size*3/2 {
			t.Errorf("the process has read %d bytes, want about the %d of the peer: the rest was to be spliced", got, size)
		}
		exchange(t, c, s)
		c.Close()
		r.wantAgain(s)
	})
}

func TestWhatCannotBeLookedAtWorksAndIsClosed(t *testing.T) {
	var ends []net.Conn
	p := newPool(t, netconn.Config{Dial: pipes(&ends)})
	for i := range 2 {
		c, err := p.Dial("tcp", "somewhere")
		if err != nil {
			t.Fatal(err)
		}
		go io.WriteString(ends[i], "hello") // ends when it is read
		expect(t, c, "hello")
		if err := c.(*netconn.Conn).CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("CloseWrite on a pipe: got %v, want ErrUnsupported", err)
		}
		c.Close()
		if _, err := ends[i].Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the other end got %v, want EOF", err)
		}
	}
	if s := p.Stats(); s.Opened != 2 || s.Reused != 0 || s.Reasons[netconn.Unseen] != 2 {
		t.Errorf("got %+v, want 2 opened, none reused, 2 closed because they cannot be seen", s)
	}
}

// readByProcess is what this process has read by read(2): not what splice
// moves. Only Linux tells.
func readByProcess(t *testing.T) (n int64) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(string(text), "rchar: %d", &n); err != nil {
		t.Fatalf("/proc/self/io: %v in %q", err, text)
	}
	return n
}
