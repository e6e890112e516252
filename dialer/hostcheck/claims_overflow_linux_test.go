package hostcheck_test

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/dialer/hostcheck"
	"github.com/stayopen-go/stayopen/internal/netlab"
)

// Four clients wait already, of five that may, when four more come. They are all
// answered, because their handshakes take a long round trip; one of those that end
// fills the queue.
func TestAbortOnOverflowResetsThoseWhoCouldWait(t *testing.T) {
	const room, late = 5, 3
	if os.Getenv("ROLE") == "server" {
		acceptAfterOverflow(t, late)
		return
	}
	if !netlab.Inside() {
		for _, value := range []string{"0", "1"} {
			lab := netlab.New(t)
			lab.Far(100 * time.Millisecond)
			lab.Sysctl(lab.Server, "net.core.somaxconn", "4")
			lab.Sysctl(lab.Server, "net.ipv4.tcp_abort_on_overflow", value)
			lab.Start(t, lab.Server, "ROLE=server")
			lab.Rerun(t, lab.Client, "ABORT="+value)
		}
		return
	}
	var clients [room + late]net.Conn
	connect := func(i int) {
		var err error
		if clients[i], err = net.Dial("tcp", "198.18.1.2:8080"); err != nil {
			t.Errorf("client %d: %v", i, err)
		}
	}
	for i := range room - 1 {
		connect(i)
	}
	var wg sync.WaitGroup
	for i := room - 1; i < len(clients); i++ {
		wg.Go(func() { connect(i) })
	}
	wg.Wait()
	var served, reset atomic.Int64
	for _, c := range clients {
		if c == nil {
			continue
		}
		defer c.Close()
		wg.Go(func() {
			c.SetReadDeadline(time.Now().Add(20 * time.Second))
			switch _, err := c.Read(make([]byte, 1)); {
			case err == nil:
				served.Add(1)
			case errors.Is(err, syscall.ECONNRESET):
				reset.Add(1)
			default:
				t.Errorf("got %v, want a byte or a reset", err)
			}
		})
	}
	wg.Wait()
	if abort := os.Getenv("ABORT") == "1"; abort != (reset.Load() > 0) || served.Load() < room {
		t.Errorf("tcp_abort_on_overflow=%s: got %d served and %d reset of %d, want some reset only if it is 1", os.Getenv("ABORT"), served.Load(), reset.Load(), len(clients))
	}
}

// acceptAfterOverflow lets clients wait until so many have found the queue full,
// and then serves all.
func acceptAfterOverflow(t *testing.T, overflows int) {
	id := "abort-on-overflow"
	f := find(t, hostcheck.Check(read(t), nil), id)
	if want := map[string]hostcheck.Severity{"0": hostcheck.Good, "1": hostcheck.Warning}[f.Set]; f.Severity != want {
		t.Errorf("got %+v, want severity %v", f, want)
	}
	l := listen(t, "198.18.1.2:8080")
	var server sync.WaitGroup
	defer server.Wait()
	defer l.Close()
	over := make(chan struct{}) // closed when the test is over
	defer close(over)
	server.Go(func() {
		for {
			c, err := hostcheck.Take(t.Context(), hostcheck.Filter{})
			if err != nil {
				t.Error(err)
				return
			}
			if c.Stat.ListenOverflows >= overflows {
				break
			}
			select {
			case <-over:
				return
			case <-time.After(time.Millisecond):
			}
		}
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			c.Write([]byte("!"))
		}
	})
	netlab.Hold("")
}
