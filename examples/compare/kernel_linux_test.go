package main

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/stayopen-go/stayopen/internal/checks/mustrun"
)

// fixedSite is a site with nothing but addresses.
type fixedSite struct{ addr netip.AddrPort }

func (s fixedSite) origins() []string                         { return nil }
func (s fixedSite) watch(ctx context.Context) context.Context { return ctx }
func (s fixedSite) tally() (tally, error)                     { return tally{ClosedByPeer: -1}, nil }
func (s fixedSite) isServer(a netip.AddrPort) bool            { return a == s.addr }

// pair connects to a fresh listener and returns both ends, whose server
// address is the site's.
func pair(t *testing.T, addr string) (client, server *net.TCPConn, s fixedSite) {
	t.Helper()
	l := listenAnew(t, addr)
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	sc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); sc.Close() })
	return c.(*net.TCPConn), sc.(*net.TCPConn), fixedSite{netip.MustParseAddrPort(l.Addr().String())}
}

// listenAnew listens on a port whose connections, if it had any before, are
// forgotten: those of another test, perhaps, would be counted.
func listenAnew(t *testing.T, addr string) net.Listener {
	t.Helper()
	for {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			mustrun.Skipf(t, "cannot listen on %s: %v", addr, err)
		}
		if !portHasHistory(l.Addr().(*net.TCPAddr).AddrPort().Port()) {
			return l
		}
		defer l.Close() // so that the next is another one
	}
}

func TestATimeWaitIsCountedOnTheSideThatClosedFirst(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		for _, tc := range []struct {
			name          string
			first, second func(client, server *net.TCPConn) *net.TCPConn
			ours, servers int
		}{
			{"the client", theClient, theServer, 1, 0},
			{"the server", theServer, theClient, 0, 1},
		} {
			t.Run(tc.name+" at "+addr, func(t *testing.T) {
				client, server, s := pair(t, addr)
				if err := tc.first(client, server).Close(); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadAll(tc.second(client, server)); err != nil {
					t.Fatal(err)
				}
				if err := tc.second(client, server).Close(); err != nil {
					t.Fatal(err)
				}
				seen, err := look(s, true)
				if err != nil || seen.censusErr != nil {
					t.Fatal(err, seen.censusErr)
				}
				if got := len(seen.census.ours); got != tc.ours {
					t.Errorf("got %d TIME_WAITs on our side, want %d", got, tc.ours)
				}
				if got := seen.census.servers; got != tc.servers {
					t.Errorf("got %d TIME_WAITs on the server's side, want %d", got, tc.servers)
				}
			})
		}
	}
}

func theClient(client, _ *net.TCPConn) *net.TCPConn { return client }
func theServer(_, server *net.TCPConn) *net.TCPConn { return server }

func TestAResetLeavesNoTimeWaitAndAnOpenConnectionIsOpen(t *testing.T) {
	client, _, s := pair(t, "127.0.0.1:0")
	seen, err := look(s, false)
	if err != nil || seen.censusErr != nil {
		t.Fatal(err, seen.censusErr)
	}
	if seen.census.open != 1 || len(seen.census.ours) != 0 {
		t.Errorf("got %d open and %d TIME_WAITs, want 1 and 0", seen.census.open, len(seen.census.ours))
	}
	client.SetLinger(0)
	client.Close()
	if seen, err = look(s, true); err != nil {
		t.Fatal(err)
	}
	if seen.census.open+len(seen.census.ours)+seen.census.servers != 0 {
		t.Errorf("after a reset the kernel shows %+v, want nothing", seen.census)
	}
}

func TestPortHasHistoryForAMinuteAfterAClose(t *testing.T) {
	client, server, s := pair(t, "127.0.0.1:0")
	if !portHasHistory(s.addr.Port()) {
		t.Errorf("port %d has an open connection and no history", s.addr.Port())
	}
	client.Close()
	io.ReadAll(server)
	server.Close()
	if _, err := look(s, true); err != nil {
		t.Fatal(err)
	}
	if !portHasHistory(s.addr.Port()) {
		t.Errorf("port %d has a TIME_WAIT and no history", s.addr.Port())
	}
}

func TestTheKernelsTableIsReadInItsByteOrder(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0000000000000000 100 0 0 10 0
   1: 0200007F:C350 0100007F:1F90 06 00000000:00000000 03:00001770 00000000     0        0 0 3 0000000000000000
   2: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000100007F:C351 01 00000000:00000000 00:00000000 00000000     0        0 1 1
   3: 00000000000000000000000001000000:0050 00000000000000000000000001000000:0051 06 00000000:00000000 00:00000000 00000000     0        0 1 1
`
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		mustrun.Skipf(t, "the sample is from a little-endian machine")
	}
	got, err := appendSockets(nil, []byte(table))
	if err != nil {
		t.Fatal(err)
	}
	end := netip.MustParseAddrPort
	want := []socket{
		{tuple{end("127.0.0.1:8080"), end("0.0.0.0:0")}, stateListen},
		{tuple{end("127.0.0.2:50000"), end("127.0.0.1:8080")}, stateTimeWait},
		{tuple{end("127.0.0.1:8080"), end("127.0.0.1:50001")}, stateEstablished},
		{tuple{end("[::1]:80"), end("[::1]:81")}, stateTimeWait},
	}
	if len(got) != len(want) {
		t.Fatalf("got %d sockets, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("row %d: got %v, want %v", i, got[i], want[i])
		}
	}
}

func TestATableThatIsNotOneIsAnError(t *testing.T) {
	for _, row := range []string{
		"0: 0100007F:1F90",
		"0: 0100007F 00000000:0000 0A",
		"0: 0100007:1F90 00000000:0000 0A",
		"0: 0100007F:1F90 00000000:10000 0A",
		"0: 0100007F:1F90 00000000:0000 XX",
		"0: 0100007F0100007F:1F90 00000000:0000 0A",
	} {
		if got, err := appendSockets(nil, []byte("heading\n"+row+"\n")); err == nil {
			t.Errorf("row %q: got %v, want an error", row, got)
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("row %q: the error has more than one line: %q", row, err)
		}
	}
}
