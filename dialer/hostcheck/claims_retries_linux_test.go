package hostcheck_test

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/dialer/hostcheck"
	"github.com/stayopen-go/stayopen/internal/netlab"
)

// fallSilent has what is sent to the server go nowhere from now on.
func fallSilent(t *testing.T) {
	t.Helper()
	out, err := exec.Command("ip", "neigh", "replace", netlab.ServerAddr.String(), "lladdr", "02:00:00:00:00:99", "dev", "eth0", "nud", "permanent").CombinedOutput()
	if err != nil {
		t.Fatalf("ip neigh replace: %v: %s", err, out)
	}
}

func TestConnectionsAreGivenUpWhenTheFindingsSay(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 2 s")
	}
	if os.Getenv("ROLE") == "server" {
		l := listen(t, "198.18.0.2:8080")
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				defer c.Close()
			}
		}()
		netlab.Hold("")
		return
	}
	if !netlab.Inside() {
		lab := netlab.New(t)
		lab.Sysctl(lab.Client, "net.ipv4.tcp_retries2", "2")
		lab.Sysctl(lab.Client, "net.ipv4.tcp_orphan_retries", "1")
		lab.Start(t, lab.Server, "ROLE=server")
		lab.Rerun(t, lab.Client)
		return
	}
	found := hostcheck.Check(read(t), nil)
	for id, want := range map[string]string{"retries2": "for 1.4s", "orphan-retries": "after 600ms"} {
		if f := find(t, found, id); !strings.Contains(f.Effect, want) {
			t.Errorf("got %+v, want one that says %s", f, want)
		}
	}
	var conns [3]net.Conn
	for i := range conns {
		c, err := net.Dial("tcp", "198.18.0.2:8080")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns[i] = c
	}
	open, orphan, idle := conns[0], conns[1], conns[2]
	fallSilent(t)
	began := time.Now()
	for _, c := range []net.Conn{open, orphan} {
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	orphan.Close()
	netlab.Await(t, "the connection that nobody has given up", func() bool {
		return take(t, hostcheck.Filter{States: []hostcheck.State{hostcheck.FinWait1}}).Total() == 0
	})
	if took := time.Since(began); took < 500*time.Millisecond {
		t.Errorf("got the orphan given up after %v, want no sooner than after 600 ms", took)
	}
	open.SetReadDeadline(time.Now().Add(30 * time.Second)) // by default it takes 15 minutes
	if _, err := open.Read(make([]byte, 1)); !errors.Is(err, syscall.ETIMEDOUT) {
		t.Errorf("got %v, want %v", err, syscall.ETIMEDOUT)
	}
	if took := time.Since(began); took < 1300*time.Millisecond {
		t.Errorf("got the open connection given up after %v, want no sooner than after 1.4 s", took)
	}
	idle.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := idle.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the idle connection: got %v, want it there: nothing is under way on it", err)
	}
}
