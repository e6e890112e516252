package dialer_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/internal/netlab"
)

// The words that tell the server what to do with a connection. It sends each
// back first, as a server answers a request, so that what the client has written
// is acknowledged. At the end it reads to EOF and closes.
const (
	hold      = 'h'
	sendFin   = 'f'
	sendReset = 'r'
	sendData  = 'd'
	sendBoth  = 'b' // data, then its FIN
	closeSoon = 'c' // spins for a moment and closes
)

// countedCase is a kind of close, done many times.
type countedCase struct {
	name string
	word byte
	mode dialer.CloseMode
	does func(ends) // before Close
	want dialer.CloseRecord
	// crossing closes have no certain outcome. The record may say a TIME_WAIT
	// where there is none, but in few of them, and never the other way round.
	crossing bool
}

var countedCases = []countedCase{
	{name: "we close first", word: hold, want: weFirst},
	{name: "the peer's FIN is here", word: sendFin, does: func(e ends) { e.arrives(dialer.ClosedByPeer) }, want: peerFirst},
	{name: "SO_LINGER 0", word: hold, does: func(e ends) { e.must(e.client.SetLinger(0)) }, want: weReset},
	{name: "the peer's RST was read", word: sendReset, does: func(e ends) { e.reads(syscall.ECONNRESET) }, want: peerReset},
	{name: "unread data", word: sendData, does: func(e ends) { e.arrives(dialer.HasData) }, want: weReset},
	{name: "unread data and the peer's FIN", word: sendBoth, does: func(e ends) {
		netlab.Await(e, "the FIN is here", func() bool { return e.client.CloseState().By == dialer.Peer })
	}, want: peerReset},
	{name: "own CloseWrite", word: hold, does: func(e ends) { e.must(e.client.CloseWrite()) }, want: weFirst},
	{name: "own CloseWrite, then EOF", word: hold, does: func(e ends) { e.must(e.client.CloseWrite()); e.reads(io.EOF) }, want: weFirst},
	{name: "closes that cross", word: closeSoon, crossing: true},
	{name: "polite, the peer closes", word: closeSoon, mode: dialer.CloseMode{PeerFirst: longer}, want: peerFirst},
	{name: "polite, the peer sends more and closes", word: sendBoth, mode: dialer.CloseMode{PeerFirst: longer}, want: peerFirst},
	{name: "polite, the peer does not close", word: hold, mode: dialer.CloseMode{PeerFirst: 20 * time.Millisecond}, want: weFirst},
	{name: "the same, then reset if clean", word: hold, mode: dialer.CloseMode{PeerFirst: 20 * time.Millisecond, ResetIfClean: true}, want: weReset},
	{name: "reset if clean", word: hold, mode: dialer.CloseMode{ResetIfClean: true}, want: weReset},
	{name: "reset if clean, the peer's FIN is here", word: sendFin, mode: dialer.CloseMode{ResetIfClean: true}, does: func(e ends) { e.arrives(dialer.ClosedByPeer) }, want: peerFirst},
}

// tally is what came of the closes of one kind.
type tally struct {
	mu       sync.Mutex
	recorded int // TIME_WAITs
	other    []dialer.CloseRecord
}

func (c *countedCase) run(t *testing.T, address string, n int) *tally {
	const workers = 32 // but for closes that cross, which the others would delay
	var sum tally
	var ended, working sync.WaitGroup
	ended.Add(n)
	var next atomic.Int64
	worker := func() {
		for next.Add(1) <= int64(n) && !t.Failed() {
			client, err := new(dialer.Dialer).Dial("tcp", address)
			if err != nil {
				t.Error(err)
				return
			}
			conn := client.(*dialer.Conn)
			conn.SetCloseMode(c.mode)
			conn.OnClose(func(r dialer.CloseRecord) {
				defer ended.Done()
				sum.add(r, c)
			})
			c.closeOne(t, conn)
		}
	}
	if c.crossing {
		worker()
	} else {
		for range workers {
			working.Go(worker)
		}
	}
	working.Wait()
	if !t.Failed() {
		ended.Wait()
	}
	return &sum
}

func (c *countedCase) closeOne(t *testing.T, conn *dialer.Conn) {
	defer conn.Close()
	word := []byte{c.word}
	if _, err := conn.Write(word); err != nil {
		t.Error(err)
		return
	}
	if _, err := io.ReadFull(conn, word); err != nil {
		t.Error(err)
		return
	}
	if c.does != nil {
		c.does(ends{T: t, client: conn})
	}
}

func (s *tally) add(r dialer.CloseRecord, c *countedCase) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.TimeWait {
		s.recorded++
	}
	if !c.crossing && !same(r, c.want) {
		s.other = append(s.other, r)
	}
}

func TestRecordedTimeWaitsAreThoseOfTheKernel(t *testing.T) {
	if os.Getenv("ROLE") == "server" {
		serveWords(t)
		return
	}
	if !netlab.Inside() {
		lab := netlab.New(t)
		port := lab.Start(t, lab.Server, "ROLE=server")
		lab.Rerun(t, lab.Client, "PORT="+port)
		return
	}
	const closes, share = 1000, 0.07
	var table strings.Builder
	fmt.Fprintf(&table, "TIME_WAITs of %d closes each over veth:\n%-42s%10s%10s\n", closes, "", "recorded", "kernel")
	defer func() { t.Log(table.String()) }()
	for i, c := range countedCases {
		server := netlab.ServerAddr
		if i%2 == 1 {
			server = netlab.ServerAddr6
		}
		before := timeWaits(t)
		sum := c.run(t, net.JoinHostPort(server.String(), os.Getenv("PORT")), closes)
		netlab.Await(t, "all connections are closed", func() bool {
			return netlab.Count(t, func(s netlab.Socket) bool { return s.State != netlab.TimeWait }) == 0
		})
		kernel := timeWaits(t) - before
		fmt.Fprintf(&table, "%-42s%10d%10d\n", c.name, sum.recorded, kernel)
		want := 0
		if c.want.TimeWait {
			want = closes
		}
		switch over := sum.recorded - kernel; {
		case c.crossing && (over < 0 || over > share*closes):
			t.Errorf("%s: got %d TIME_WAITs recorded, want the kernel's %d or up to %v of the closes more", c.name, sum.recorded, kernel, share)
		case !c.crossing && (over != 0 || kernel != want):
			t.Errorf("%s: got %d TIME_WAITs recorded and %d in the kernel, want %d", c.name, sum.recorded, kernel, want)
		}
		if len(sum.other) > 0 {
			t.Errorf("%s: got %d records like %+v, want %+v", c.name, len(sum.other), sum.other[0], c.want)
		}
	}
}

// timeWaits is the kernel's own count of them in this namespace.
func timeWaits(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/net/sockstat")
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := bytes.Cut(text, []byte("\nTCP: "))
	var inUse, orphaned, n int
	if _, err := fmt.Sscanf(string(line), "inuse %d orphan %d tw %d", &inUse, &orphaned, &n); err != nil {
		t.Fatalf("/proc/net/sockstat: %v in %q", err, text)
	}
	return n
}

// serveWords does what its clients tell it, see countedCase.
func serveWords(t *testing.T) {
	l := listen(t, netip.AddrPortFrom(netip.IPv6Unspecified(), 0).String())
	var serving sync.WaitGroup
	serving.Go(func() {
		for crossings := 0; ; {
			c, err := l.Accept()
			if err != nil {
				return
			}
			crossings++
			delay := time.Duration(crossings%100) * 2 * time.Microsecond
			serving.Go(func() {
				defer c.Close()
				if err := obey(c.(*net.TCPConn), delay); err != nil && !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("server: %v", err)
				}
			})
		}
	})
	netlab.Hold(fmt.Sprint(l.Addr().(*net.TCPAddr).Port))
	l.Close()
	serving.Wait()
}

func obey(c *net.TCPConn, delay time.Duration) error {
	word := make([]byte, 1)
	if _, err := io.ReadFull(c, word); err != nil {
		return err
	}
	if _, err := c.Write(word); err != nil {
		return err
	}
	var err error
	switch word[0] {
	case sendFin:
		err = c.CloseWrite()
	case sendReset:
		return c.SetLinger(0)
	case sendData:
		_, err = c.Write([]byte("reply"))
	case sendBoth:
		_, err = c.Write([]byte("reply"))
		err = errors.Join(err, c.CloseWrite())
	case closeSoon:
		for start := time.Now(); time.Since(start) < delay; {
		}
		return nil
	}
	if err == nil {
		_, err = io.Copy(io.Discard, c)
	}
	return err
}
