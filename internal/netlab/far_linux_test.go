package netlab

import (
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"
)

func TestPacketsOnTheFarWayTakeTheirTime(t *testing.T) {
	const delay = 20 * time.Millisecond
	if os.Getenv("ROLE") == "server" {
		serve(t)
		return
	}
	if !Inside() {
		lab := New(t)
		lab.Far(delay)
		lab.Rerun(t, lab.Client, "SERVER="+lab.Start(t, lab.Server, "ROLE=server"))
		return
	}
	port := netip.MustParseAddrPort(os.Getenv("SERVER")).Port()
	start := time.Now()
	c, err := net.Dial("tcp", netip.AddrPortFrom(FarServerAddr, port).String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	connected := time.Since(start)
	if connected < 2*delay {
		t.Errorf("connected after %v, want no sooner than after %v, there and back", connected, 2*delay)
	}
	if _, err := c.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	c.(*net.TCPConn).CloseWrite()
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("got %v, want the server's FIN, after it has read all", err)
	}
	t.Logf("connected after %v, all of a MB read after %v", connected, time.Since(start))
}
