package dialer

import (
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stayopen-go/stayopen/internal/checks/mustrun"
)

// Between the choice and the socket another dial is told that there is no port:
// that is no reason to fail for one that may wait.
func TestDialWaitsIfTheLastPortIsGoneWhenItsSocketIsMade(t *testing.T) {
	if !bindsInControl {
		mustrun.Skipf(t, "there is no choice in Control on this system")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dst := netip.MustParseAddrPort(l.Addr().String())
	var refused atomic.Bool
	d := &Dialer{WaitForPort: true, Control: func(string, string, syscall.RawConn) error {
		if !refused.Swap(true) {
			ports.refuse(&ask{dst: dst}, errNoPort)
		}
		return nil
	}}
	c, err := d.Dial("tcp", dst.String())
	if err != nil {
		t.Fatalf("got %v, want a connection after the pause", err)
	}
	c.(*Conn).Reset()
}
