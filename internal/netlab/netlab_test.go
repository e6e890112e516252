package netlab

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/stayopen-go/stayopen/internal/checks/mustrun"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheTwoEndsReachEachOtherAndTimeWaitsAreCounted(t *testing.T) {
	if os.Getenv("ROLE") == "server" {
		serve(t)
		return
	}
	if !Inside() {
		lab := New(t)
		lab.Sysctl(lab.Client, "net.ipv4.ip_local_port_range", "20000 20009")
		addr := lab.Start(t, lab.Server, "ROLE=server")
		lab.Rerun(t, lab.Client, "SERVER="+addr)
		return
	}
	port := netip.MustParseAddrPort(os.Getenv("SERVER")).Port()
	for _, server := range []netip.Addr{ServerAddr, ServerAddr6} {
		dst := netip.AddrPortFrom(server, port)
		c, err := net.Dial("tcp", dst.String())
		if err != nil {
			t.Fatal(err)
		}
		local := c.LocalAddr().(*net.TCPAddr).AddrPort()
		if local.Port() < 20000 || local.Port() > 20009 {
			t.Errorf("got local port %d, want one of those that Sysctl allowed", local.Port())
		}
		c.Close()
		Await(t, "one TIME_WAIT from "+local.String(), func() bool {
			return Count(t, func(s Socket) bool { return s == Socket{local, dst, TimeWait} }) == 1
		})
	}
}

// serve closes every connection after its client has.
func serve(t *testing.T) {
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.Copy(io.Discard, c)
			c.Close()
		}
	}()
	Hold(l.Addr().String())
	l.Close()
	<-done
}

func TestPrefixesCanBeMadeLocalAndRouted(t *testing.T) {
	if !Inside() {
		lab := New(t)
		for _, p := range []string{"198.18.7.0/24", "2001:db8:7::/64"} {
			prefix := netip.MustParsePrefix(p)
			client, server := ClientAddr, ServerAddr
			if prefix.Addr().Is6() {
				client, server = ClientAddr6, ServerAddr6
			}
			lab.AddLocal(lab.Client, prefix)
			lab.AddRoute(lab.Server, prefix, client)
			out := lab.ip("-n", lab.Server, "route", "get", prefix.Addr().Next().String())
			if !strings.Contains(out, "via "+client.String()) {
				t.Errorf("way from %v to %v: got %q, want one via %v", server, prefix, out, client)
			}
		}
		lab.Rerun(t, lab.Client)
		return
	}
	for _, addr := range []string{"198.18.7.9", "2001:db8:7::9"} {
		l, err := net.Listen("tcp", net.JoinHostPort(addr, "0"))
		if err != nil {
			if !netip.MustParseAddr(addr).Is6() {
				t.Errorf("listening on an address of a local prefix: got %v, want success", err)
			}
			continue // IPv6 wants IP_FREEBIND first
		}
		l.Close()
	}
}

func TestNamespacesAreGoneAfterTheTest(t *testing.T) {
	var names []string
	t.Run("lab", func(t *testing.T) {
		lab := New(t)
		names = []string{lab.Client, lab.Server}
		if list := namespaces(t); !strings.Contains(list, lab.Client) || !strings.Contains(list, lab.Server) {
			t.Errorf("got namespaces %q, want %q among them", list, names)
		}
	})
	if len(names) == 0 {
		return // the subtest says why
	}
	for _, name := range names {
		if list := namespaces(t); strings.Contains(list, name) {
			t.Errorf("got namespaces %q, want %s removed", list, name)
		}
	}
}

func TestLeftoversOfKilledProcessesAreRemoved(t *testing.T) {
	require(t)
	const dead = prefix + "4194305-1-client" // beyond the greatest process number there can be
	if out, err := exec.Command("ip", "netns", "add", dead).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	New(t)
	if list := namespaces(t); strings.Contains(list, dead) {
		t.Errorf("got namespaces %q, want %s removed by New", list, dead)
	}
}

func namespaces(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("ip", "netns", "list").Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestSocketLinesAreRead(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		mustrun.Skipf(t, "the lines in this test are those of a little-endian machine")
	}
	for line, want := range map[string]Socket{
		"   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000":                                                           {netip.MustParseAddrPort("127.0.0.1:8080"), netip.MustParseAddrPort("0.0.0.0:0"), Listen},
		"   1: B80D0120000000000000000001000000:0050 B80D0120000000000000000002000000:C350 06 00000000:00000000 03:00001":  {netip.MustParseAddrPort("[2001:db8::1]:80"), netip.MustParseAddrPort("[2001:db8::2]:50000"), TimeWait},
		"   2: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000200007F:0001 08 00000000:00000000 00:000000": {netip.MustParseAddrPort("127.0.0.1:8080"), netip.MustParseAddrPort("127.0.0.2:1"), CloseWait},
	} {
		got, err := parseSocket(line)
		if err != nil || got != want {
			t.Errorf("%q: got %v, %v, want %v", line, got, err, want)
		}
	}
	for _, line := range []string{"", "0: 0100007F:1F90", "0: 0100007F 0100007F:0001 01", "0: 010000:0001 0100007F:0001 01", "0: 0100007F:0001 0100007F:0001 x"} {
		if got, err := parseSocket(line); err == nil {
			t.Errorf("%q: got %v, want an error", line, got)
		}
	}
}

func TestPatternMatchesOneTestOnly(t *testing.T) {
	if got, want := pattern("TestA/b+c"), `^TestA$/^b\+c$`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
