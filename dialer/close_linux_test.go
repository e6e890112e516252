package dialer_test

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/internal/netlab"
)

// ends are the two ends of a connection. The methods fail the test if what they
// do fails.
type ends struct {
	*testing.T
	client *dialer.Conn
	server *net.TCPConn
}

func (e ends) must(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

// peerCloses lets the server send its FIN, and waits until it is here.
func (e ends) peerCloses() {
	e.Helper()
	e.must(e.server.CloseWrite())
	e.arrives(dialer.ClosedByPeer)
}

// peerResets lets the server send a RST.
func (e ends) peerResets() {
	e.Helper()
	e.must(e.server.SetLinger(0))
	e.must(e.server.Close())
	e.arrives(dialer.ClosedByPeer)
}

func (e ends) peerSends() {
	e.Helper()
	_, err := e.server.Write([]byte("reply"))
	e.must(err)
	e.arrives(dialer.HasData)
}

// arrives waits until the client sees what the server did.
func (e ends) arrives(want dialer.PeerState) {
	e.Helper()
	netlab.Await(e, "the client sees "+want.String(), func() bool { return e.client.Peek() == want })
}

// weClose lets the client send its FIN, and waits until the server has it.
func (e ends) weClose() {
	e.Helper()
	e.must(e.client.CloseWrite())
	if n, err := e.server.Read(make([]byte, 1)); err != io.EOF {
		e.Fatalf("server read %d, %v after CloseWrite, want EOF", n, err)
	}
}

func (e ends) reads(want error) {
	e.Helper()
	if n, err := e.client.Read(make([]byte, 1)); !errors.Is(err, want) {
		e.Fatalf("client read %d, %v, want %v", n, err, want)
	}
}

var (
	weFirst    = dialer.CloseRecord{By: dialer.Local, TimeWait: true}
	peerFirst  = dialer.CloseRecord{By: dialer.Peer}
	weReset    = dialer.CloseRecord{By: dialer.Local, Reset: true}
	peerReset  = dialer.CloseRecord{By: dialer.Peer, Reset: true}
	closeCases = []struct {
		name string
		does func(ends)
		want dialer.CloseRecord
	}{
		{"we close first", func(e ends) {}, weFirst},
		{"we close first, lingering", func(e ends) { e.must(e.client.SetLinger(5)) }, weFirst},
		{"the peer's FIN is here", func(e ends) { e.peerCloses() }, peerFirst},
		{"the peer's FIN was read", func(e ends) { e.peerCloses(); e.reads(io.EOF) }, peerFirst},
		{"SO_LINGER 0", func(e ends) { e.must(e.client.SetLinger(0)) }, weReset},
		{"SO_LINGER 0 set past the Conn", func(e ends) { e.must(e.client.NetConn().(*net.TCPConn).SetLinger(0)) }, weReset},
		{"SO_LINGER 0 set on its descriptor", func(e ends) {
			raw, err := e.client.SyscallConn()
			e.must(err)
			e.must(raw.Control(func(fd uintptr) {
				e.must(unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
			}))
		}, weReset},
		{"SO_LINGER 0 taken back past the Conn", func(e ends) {
			e.must(e.client.SetLinger(0))
			e.must(e.client.NetConn().(*net.TCPConn).SetLinger(-1))
		}, weFirst},
		{"SO_LINGER 0 taken back", func(e ends) { e.must(e.client.SetLinger(0)); e.must(e.client.SetLinger(-1)) }, weFirst},
		{"Reset", func(e ends) { e.must(e.client.Reset()) }, weReset},
		{"Reset after the peer's FIN", func(e ends) { e.peerCloses(); e.must(e.client.Reset()) }, peerReset},
		{"the peer's RST is here", func(e ends) { e.peerResets() }, peerReset},
		{"the peer's RST was read", func(e ends) { e.peerResets(); e.reads(syscall.ECONNRESET) }, peerReset},
		{"the peer's RST was met by Write", func(e ends) {
			e.peerResets()
			if _, err := e.client.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
				e.Errorf("wrote with %v, want %v", err, syscall.ECONNRESET)
			}
		}, peerReset},
		{"the peer's RST after its FIN", func(e ends) { e.peerCloses(); e.peerResets() }, peerReset},
		{"the peer's RST after data unread", func(e ends) {
			e.peerSends()
			e.must(e.server.SetLinger(0))
			e.must(e.server.Close())
			netlab.Await(e, "the RST is here", func() bool { return e.client.CloseState().By == dialer.Peer })
		}, peerReset},
		{"unread data", func(e ends) { e.peerSends() }, weReset},
		{"unread data and the peer's FIN", func(e ends) {
			e.peerSends()
			e.must(e.server.CloseWrite())
			netlab.Await(e, "the FIN is here", func() bool { return e.client.CloseState().By == dialer.Peer })
		}, peerReset},
		{"half-read data", func(e ends) { e.peerSends(); e.reads(nil) }, weReset},
		{"own CloseWrite", func(e ends) { e.weClose() }, weFirst},
		{"own CloseWrite, then EOF", func(e ends) { e.weClose(); e.peerCloses(); e.reads(io.EOF) }, weFirst},
		{"own CloseWrite, then EOF unread", func(e ends) { e.weClose(); e.peerCloses() }, weFirst},
		{"own CloseWrite twice, then EOF", func(e ends) { e.weClose(); e.must(e.client.CloseWrite()); e.peerCloses() }, weFirst},
		{"own CloseWrite, then a reply unread", func(e ends) { e.weClose(); e.peerSends() }, weReset},
		{"own CloseWrite, then a reply and EOF unread", func(e ends) {
			e.weClose()
			e.peerSends()
			e.must(e.server.CloseWrite())
			e.must(e.server.Close())
			e.kernelHas(netlab.TimeWait)
		}, weFirst},
		{"own CloseWrite, then SO_LINGER 0", func(e ends) { e.weClose(); e.must(e.client.SetLinger(0)) }, weReset},
		{"own CloseWrite, then EOF, then Reset, which is too late", func(e ends) {
			e.weClose()
			e.peerCloses()
			e.must(e.client.Reset())
		}, weFirst},
		{"own CloseWrite, then the peer's RST", func(e ends) { e.weClose(); e.peerResets() }, weReset},
		{"own CloseWrite, then the peer's RST read", func(e ends) {
			e.weClose()
			e.peerResets()
			e.reads(syscall.ECONNRESET)
		}, weReset},
		{"own CloseWrite, then the peer's RST met by WriteTo", func(e ends) {
			e.weClose()
			e.peerResets()
			if _, err := e.client.WriteTo(io.Discard); !errors.Is(err, syscall.ECONNRESET) {
				e.Errorf("got %v, want %v", err, syscall.ECONNRESET)
			}
		}, weReset},
		{"the peer's FIN, then own CloseWrite", func(e ends) { e.peerCloses(); e.weClose() }, peerFirst},
		{"the peer's FIN, then own CloseWrite, then Reset", func(e ends) {
			e.peerCloses()
			e.weClose()
			e.must(e.client.Reset())
		}, peerFirst},
		{"the peer's FIN, then own CloseWrite, lingering 0", func(e ends) {
			e.peerCloses()
			e.weClose()
			e.must(e.client.SetLinger(0))
		}, peerFirst},
		{"own FIN sent past the Conn, polite", func(e ends) {
			e.client.SetCloseMode(dialer.CloseMode{PeerFirst: longer})
			e.must(e.client.NetConn().(*net.TCPConn).CloseWrite())
			e.kernelHas(netlab.FinWait2)
		}, weFirst},
		{"unread data, less than SO_RCVLOWAT", func(e ends) {
			e.peerSends()
			raw, err := e.client.SyscallConn()
			e.must(err)
			e.must(raw.Control(func(fd uintptr) {
				e.must(unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVLOWAT, 100))
			}))
		}, weReset},
		{"reset if clean", func(e ends) { e.client.SetCloseMode(resetIfClean) }, weReset},
		{"reset if clean, taken back", func(e ends) {
			e.client.SetCloseMode(resetIfClean)
			e.client.SetCloseMode(dialer.CloseMode{})
		}, weFirst},
		{"reset if clean, the peer's FIN is here", func(e ends) { e.client.SetCloseMode(resetIfClean); e.peerCloses() }, peerFirst},
		{"reset if clean, own CloseWrite", func(e ends) {
			e.client.SetCloseMode(resetIfClean)
			e.weClose()
			e.kernelHas(netlab.FinWait2)
		}, weReset},
		{"reset if clean, own CloseWrite, then EOF", func(e ends) { e.client.SetCloseMode(resetIfClean); e.weClose(); e.peerCloses() }, weFirst},
		{"reset if clean, with SO_LINGER", func(e ends) { e.client.SetCloseMode(resetIfClean); e.must(e.client.SetLinger(5)) }, weReset},
		{"polite, but own CloseWrite", func(e ends) {
			e.client.SetCloseMode(dialer.CloseMode{PeerFirst: longer})
			e.weClose()
		}, weFirst},
		{"polite, but SO_LINGER 0", func(e ends) {
			e.client.SetCloseMode(dialer.CloseMode{PeerFirst: longer})
			e.must(e.client.SetLinger(0))
		}, weReset},
		{"polite, the peer's FIN is here", func(e ends) {
			e.client.SetCloseMode(dialer.CloseMode{PeerFirst: longer})
			e.peerCloses()
		}, peerFirst},
		{"polite, the peer's RST is here", func(e ends) {
			e.client.SetCloseMode(dialer.CloseMode{PeerFirst: longer})
			e.peerResets()
		}, peerReset},
		{"polite for no time", func(e ends) { e.client.SetCloseMode(dialer.CloseMode{PeerFirst: -1}) }, weFirst},
	}
	resetIfClean = dialer.CloseMode{ResetIfClean: true}
)

// kernelHas waits until the kernel has a socket in that state at our end.
func (e ends) kernelHas(state netlab.State) {
	e.Helper()
	local := e.client.LocalAddr().(*net.TCPAddr).AddrPort()
	netlab.Await(e, "our end is in the state awaited", func() bool {
		return netlab.Count(e, func(s netlab.Socket) bool { return s.Local == local && s.State == state }) > 0
	})
}

func TestCloseRecordAgreesWithTheKernel(t *testing.T) {
	if !netlab.Inside() {
		lab := netlab.New(t)
		lab.Rerun(t, lab.Client)
		return
	}
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		l := listen(t, address)
		for _, test := range closeCases {
			t.Run(address+" "+test.name, func(t *testing.T) {
				client, server := pair(t, new(dialer.Dialer), l)
				checkClose(t, ends{t, client, server}, test.does, test.want)
			})
		}
	}
}

func checkClose(t *testing.T, e ends, does func(ends), want dialer.CloseRecord) {
	local := e.client.LocalAddr().(*net.TCPAddr).AddrPort()
	peer := e.client.RemoteAddr().(*net.TCPAddr).AddrPort()
	does(e)
	if record, closed := e.client.CloseRecord(); closed == record.At.IsZero() {
		t.Errorf("got record %+v, closed %v: want one if and only if it is closed", record, closed)
	}
	foreseen := e.client.CloseState()
	if again := e.client.CloseState(); !same(foreseen, again) {
		t.Errorf("CloseState: got %+v, then %+v, want the same: looking must not change anything", foreseen, again)
	}
	e.client.Close()
	got, closed := e.client.CloseRecord()
	if !closed || !same(got, want) {
		t.Errorf("got record %+v, closed %v, want %+v", got, closed, want)
	}
	if !same(foreseen, want) {
		t.Errorf("CloseState: got %+v, want %+v as in the record", foreseen, want)
	}
	if err := socketError(e.server); !errors.Is(err, net.ErrClosed) && (err != nil) != want.Reset {
		t.Errorf("the peer's socket has the error %v, want one if and only if a reset is recorded", err)
	}
	e.server.Close()
	timeWaits := 0
	netlab.Await(t, "nothing is left of the connection but TIME_WAIT", func() bool {
		timeWaits = netlab.Count(t, func(s netlab.Socket) bool {
			return s.Local == local && s.Remote == peer && s.State == netlab.TimeWait
		})
		return netlab.Count(t, func(s netlab.Socket) bool {
			return (s.Local == local || s.Remote == local) && s.State != netlab.TimeWait
		}) == 0
	})
	if (timeWaits > 0) != want.TimeWait {
		t.Errorf("the kernel has %d TIME_WAITs, the record says %v", timeWaits, got.TimeWait)
	}
}

// socketError is the error that waits in a socket, or net.ErrClosed.
func socketError(c *net.TCPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var errno int
	cerr := raw.Control(func(fd uintptr) {
		errno, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
	})
	if errno != 0 {
		err = syscall.Errno(errno)
	}
	return errors.Join(cerr, err)
}

func TestTimeWaitsAreNeverUnderstated(t *testing.T) {
	if !netlab.Inside() {
		lab := netlab.New(t)
		lab.Rerun(t, lab.Client)
		return
	}
	const closes = 300
	l := listen(t, "127.0.0.1:0")
	recorded := 0
	for range closes {
		client, server := pair(t, new(dialer.Dialer), l)
		var ready, start atomic.Bool // a channel would wake the server too late to cross
		done := make(chan struct{})
		go func() {
			defer close(done)
			for ready.Store(true); !start.Load(); {
			}
			server.Close()
		}()
		for !ready.Load() {
			runtime.Gosched()
		}
		start.Store(true)
		client.Close()
		<-done
		if record, _ := client.CloseRecord(); record.TimeWait {
			recorded++
		}
	}
	port := l.Addr().(*net.TCPAddr).Port
	live := func(s netlab.Socket) bool { return s.State != netlab.TimeWait && s.State != netlab.Listen }
	netlab.Await(t, "all connections are closed", func() bool { return netlab.Count(t, live) == 0 })
	kernel := netlab.Count(t, func(s netlab.Socket) bool {
		return s.State == netlab.TimeWait && int(s.Remote.Port()) == port
	})
	t.Logf("%d of %d closes that crossed: %d TIME_WAITs recorded, %d there", recorded, closes, recorded, kernel)
	if kernel > recorded {
		t.Errorf("the kernel has %d TIME_WAITs at our end, want at most the %d recorded", kernel, recorded)
	}
}

func TestPeerThatFallsSilentHasEndedTheConnection(t *testing.T) {
	if os.Getenv("ROLE") == "server" {
		l := listen(t, netlab.ServerAddr.String()+":0")
		netlab.Hold(l.Addr().String())
		return
	}
	if !netlab.Inside() {
		lab := netlab.New(t)
		addr := lab.Start(t, lab.Server, "ROLE=server")
		lab.Rerun(t, lab.Client, "SERVER="+addr)
		return
	}
	c := dial(t, &dialer.Dialer{Control: dialer.UserTimeout(200 * time.Millisecond)}, os.Getenv("SERVER"))
	cutOff(t)
	if _, err := c.Write([]byte("hello?")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ETIMEDOUT) {
		t.Fatalf("read %v, want %v", err, syscall.ETIMEDOUT)
	}
	c.Close()
	if got, _ := c.CloseRecord(); !same(got, peerReset) {
		t.Errorf("got %+v, want %+v: the peer was given up", got, peerReset)
	}
}

// cutOff lets every frame to the server go to a device that does not exist.
func cutOff(t *testing.T) {
	t.Helper()
	cut := exec.Command("ip", "neigh", "replace", netlab.ServerAddr.String(), "lladdr", "02:00:00:00:00:01", "dev", "eth0", "nud", "permanent")
	if out, err := cut.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// Our FIN is lost on its way, so that the connection stays in LAST_ACK.
func TestCloseWhileOurAnswerToThePeersFinIsUnderWay(t *testing.T) {
	if os.Getenv("ROLE") == "server" {
		serveFin(t)
		return
	}
	if !netlab.Inside() {
		lab := netlab.New(t)
		addr := lab.Start(t, lab.Server, "ROLE=server")
		lab.Rerun(t, lab.Client, "SERVER="+addr)
		return
	}
	conns := []*dialer.Conn{dial(t, new(dialer.Dialer), os.Getenv("SERVER")), dial(t, new(dialer.Dialer), os.Getenv("SERVER"))}
	for _, c := range conns {
		netlab.Await(t, "the server's FIN is here", func() bool { return c.Peek() == dialer.ClosedByPeer })
	}
	cutOff(t)
	for i, c := range conns {
		local := c.LocalAddr().(*net.TCPAddr).AddrPort()
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			c.SetLinger(0) // gives the socket up at once, with nothing left to send
		}
		c.Close()
		if got, _ := c.CloseRecord(); !same(got, peerFirst) {
			t.Errorf("got %+v, want %+v", got, peerFirst)
		}
		states := map[netlab.State]int{}
		for _, s := range netlab.Sockets(t) {
			if s.Local == local {
				states[s.State]++
			}
		}
		if want := 1 - i; states[netlab.LastAck] != want || len(states) != want {
			t.Errorf("with SO_LINGER 0: %v: the kernel has %v, want %d in LAST_ACK and nothing else", i == 1, states, want)
		}
	}
}

// serveFin answers every connection with a FIN, and keeps it.
func serveFin(t *testing.T) {
	l := listen(t, netlab.ServerAddr.String()+":0")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			c.(*net.TCPConn).CloseWrite()
		}
	}()
	netlab.Hold(l.Addr().String())
	l.Close()
	<-done
}
