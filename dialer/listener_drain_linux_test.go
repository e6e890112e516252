package dialer_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/internal/netlab"
)

// slow is how many clients connect slowly: their handshakes stay half done until
// their host says who has its address.
const slow = 60

// arp says whether the client's host answers for its address.
func arp(t testing.TB, client, value string) {
	t.Helper()
	out, err := exec.Command("ip", "netns", "exec", client, "sysctl", "-qw", "net.ipv4.conf.eth0.arp_ignore="+value).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// A handshake lasts a round trip. If the listener is closed in the middle, the
// client is reset though nothing of it was ever queued.
func TestDrainWaitsForHandshakesThatHaveBegun(t *testing.T) {
	if os.Getenv("ROLE") == "clients" {
		dialSlowly(t)
		return
	}
	if !netlab.Inside() {
		lab := netlab.New(t)
		// The server asks for the client's address every 10 ms, for as long as it
		// takes; the client must not make itself known by asking for the server's.
		lab.Sysctl(lab.Server, "net/ipv4/neigh/eth0/retrans_time_ms", "10")
		lab.Sysctl(lab.Server, "net/ipv4/neigh/eth0/mcast_solicit", "10000")
		mac, err := exec.Command("ip", "netns", "exec", lab.Server, "cat", "/sys/class/net/eth0/address").Output()
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("ip", "-n", lab.Client, "neigh", "replace", netlab.ServerAddr.String(), "lladdr", string(mac[:17]), "dev", "eth0", "nud", "permanent").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		lab.Rerun(t, lab.Server, "CLIENT="+lab.Client)
		return
	}
	for drains := range 3 { // two at a time must not be in each other's way
		lost := closeAmongHandshakes(t, drains)
		if drains > 0 && lost > 0 || drains == 0 && lost < slow/4 {
			t.Errorf("drained %d times: %d of %d were lost, want none with Drain, and about half if only the queue is emptied", drains, lost, slow)
		}
	}
}

// closeAmongHandshakes closes one of two listeners while clients connect, and
// returns how many of these are lost.
func closeAmongHandshakes(t *testing.T, drains int) (lost int) {
	client := os.Getenv("CLIENT")
	arp(t, client, "8")
	exec.Command("ip", "neigh", "flush", "dev", "eth0").Run()
	first, second, _ := twoWithQueues(t, netlab.ServerAddr.String()+":0", 0)
	var wg sync.WaitGroup
	wg.Go(func() { greet(t, first) })
	wg.Go(func() { greet(t, second) })
	defer wg.Wait()
	defer second.Close()
	cmd := exec.Command("ip", "netns", "exec", client, os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), "ROLE=clients", "SERVER="+first.Addr().String())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	netlab.Await(t, "all handshakes have begun", func() bool { return halfOpen(t) == slow })
	if drains > 0 {
		drained := make(chan error)
		for range drains {
			go func() { drained <- first.Drain(context.Background()) }()
			netlab.Await(t, "new clients are turned away", func() bool { return filterLen(t, first) > 0 })
		}
		arp(t, client, "0")
		for i := range drains {
			if err := <-drained; err != nil && (i == 0 || !errors.Is(err, net.ErrClosed)) {
				t.Errorf("Drain: got %v", err)
			}
		}
	} else {
		first.Close() // its queue is empty
		arp(t, client, "0")
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() >= lostCode {
		return exit.ExitCode() - lostCode
	}
	if err != nil {
		t.Fatalf("the clients: %v", err)
	}
	return 0
}

// lostCode and above are the exit codes by which the clients say how many of
// them were lost.
const lostCode = 100

func dialSlowly(t *testing.T) {
	lost := make(chan int)
	for range slow {
		go func() {
			if visit(os.Getenv("SERVER")) != nil {
				lost <- 1
			} else {
				lost <- 0
			}
		}()
	}
	sum := 0
	for range slow {
		sum += <-lost
	}
	if sum > 0 {
		os.Exit(lostCode + sum)
	}
}

func halfOpen(t *testing.T) int {
	const synReceived netlab.State = 3
	return netlab.Count(t, func(s netlab.Socket) bool { return s.State == synReceived })
}

// filterLen is how many instructions the socket's filter has. The length that
// the call takes counts instructions, too: 0 asks for their number alone.
func filterLen(t *testing.T, s syscall.Conn) (n uint32) {
	t.Helper()
	raw, err := s.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_GET_FILTER, 0, uintptr(unsafe.Pointer(&n)), 0)
	})
	return n
}

// The socket of a listener that was copied goes on, and must not turn clients
// away.
func TestDrainOfASharedSocketLeavesItUsable(t *testing.T) {
	l := open(t, dialer.ListenConfig{}, "tcp4", "127.0.0.1:0")
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	copied, err := net.FileListener(f)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	start := time.Now()
	if err := l.Drain(t.Context()); err != nil {
		t.Errorf("Drain: got %v", err)
	}
	c, err := net.Dial("tcp", copied.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// A SYN that is turned away is sent again after a second.
	if took := time.Since(start); took > 900*time.Millisecond {
		t.Errorf("draining and dialing took %v, want the client to be let in at once", took)
	}
}

// turnedAway drains l until it turns clients away, and cannot end: somebody is
// queued whom nobody accepts. cancel ends it.
func turnedAway(t *testing.T, l *dialer.Listener) (cancel func(), done chan error) {
	t.Helper()
	connect(t, l)
	ctx, cancel := context.WithCancel(t.Context())
	done = make(chan error, 1)
	go func() { done <- l.Drain(ctx) }()
	for filterLen(t, l) == 0 {
		select {
		case err := <-done:
			t.Fatalf("Drain: got %v before it turned anybody away", err)
		case <-time.After(time.Millisecond):
		}
	}
	return cancel, done
}

// The filter is the socket's: whoever got a copy of it would never be reached.
func TestAListenerThatTurnsClientsAwayIsNotPassedOn(t *testing.T) {
	l := open(t, dialer.ListenConfig{}, "tcp4", "127.0.0.1:0")
	cancel, done := turnedAway(t, l)
	if f, err := l.File(); !errors.Is(err, net.ErrClosed) {
		f.Close()
		t.Errorf("File: got %v, want net.ErrClosed", err)
	}
	if err := dialer.HandOver(exec.Command("/bin/true"), l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("HandOver: got %v, want net.ErrClosed", err)
	}
	cancel()
	<-done
}

func TestDrainLeavesTheUsersFilterAlone(t *testing.T) {
	pass := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff}}
	l := open(t, dialer.ListenConfig{}, "tcp4", "127.0.0.1:0")
	raw, err := l.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &pass[0]})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Drain(t.Context()); err != nil {
		t.Errorf("Drain: got %v", err)
	}
}

func TestConnsThatDrainAcceptsHaveNoFilter(t *testing.T) {
	first, _, _ := twoWithQueues(t, "127.0.0.1:0", 20)
	var accepted []*dialer.Conn
	done := make(chan struct{})
	go func() {
		defer close(done)
		for c, err := first.Accept(); err == nil; c, err = first.Accept() {
			accepted = append(accepted, c.(*dialer.Conn))
		}
	}()
	if err := first.Drain(t.Context()); err != nil {
		t.Errorf("Drain: got %v", err)
	}
	<-done
	filtered := slices.ContainsFunc(accepted, func(c *dialer.Conn) bool { return filterLen(t, c) > 0 })
	if filtered || len(accepted) == 0 {
		t.Errorf("of %d accepted, got one with a filter: %v, want some, and none with one", len(accepted), filtered)
	}
	for _, c := range accepted {
		c.Close()
	}
}
