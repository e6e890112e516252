package dialer

import (
	"fmt"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stayopen-go/stayopen/internal/checks/mustrun"
)

func TestLocalRouteIsThatOfTheSocketsNamespace(t *testing.T) {
	runtime.LockOSThread() // for good: the thread ends with the test
	elsewhere := tcpSocket(t)
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		mustrun.Skipf(t, "this makes a network namespace: %v", err)
	}
	here := tcpSocket(t)
	if !sameNamespace(here, here) {
		mustrun.Skipf(t, "this kernel does not tell network namespaces apart (Linux 5.14)")
	}
	ip := func(input string, args ...string) {
		t.Helper()
		cmd := exec.Command("ip", args...) // in the namespace of this thread
		cmd.Stdin = strings.NewReader(input)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("ip %q, of iproute2: %v: %s", args, err, out)
		}
	}
	check := func(why string, fd int, addr string, allTables bool, want string) {
		t.Helper()
		route, known := localRoute(fd, netip.MustParseAddr(addr), allTables)
		got := "none"
		switch {
		case !known:
			got = "unknown"
		case route.IsValid():
			got = route.String()
		}
		if got != want {
			t.Errorf("%s: got %s for %s, want %s", why, got, addr, want)
		}
	}
	check("no routes at all", here, "2001:db8:5::9", true, "none")
	check("no routes at all", here, "192.0.2.9", true, "none")
	ip("", "link", "set", "lo", "up")
	check("another namespace", elsewhere, "::1", true, "unknown")
	check("loopback", here, "::1", false, "::1/128")
	check("loopback", here, "127.1.2.3", false, "127.0.0.0/8")

	var many strings.Builder // so that the kernel lists them in several parts
	for i := range 2000 {
		fmt.Fprintf(&many, "route add local 2001:db8:6:%x::/64 dev lo table 100\n", i)
	}
	many.WriteString("route add local 2001:db8:5::/64 dev lo\n" +
		"route add local 2001:db8:7::/64 dev lo table 101\n" +
		"route add local 192.0.2.0/24 dev lo\n" +
		"route add local default dev lo table 102\n" +
		"route add unreachable 2001:db8:a::/48\n" +
		"route add blackhole 2001:db8:b::/48\n" +
		"route add 2001:db8:c::/48 dev lo\n")
	ip(many.String(), "-batch", "-")
	for _, all := range []bool{false, true} {
		check("local", here, "2001:db8:5::9", all, "2001:db8:5::/64")
		check("local", here, "192.0.2.9", all, "192.0.2.0/24")
		check("unreachable", here, "2001:db8:a::9", all, "none")
		check("blackhole", here, "2001:db8:b::9", all, "none")
		check("unicast", here, "2001:db8:c::9", all, "none")
	}
	check("another table", here, "2001:db8:7::9", false, "none")
	check("another table", here, "2001:db8:7::9", true, "2001:db8:7::/64")
	check("another table", here, "2001:db8:6:7cf::9", true, "2001:db8:6:7cf::/64")
	check("all of IPv4 in another table", here, "198.51.100.9", false, "none")
	check("all of IPv4 in another table", here, "198.51.100.9", true, "0.0.0.0/0")
	ip("", "-6", "route", "add", "local", "default", "dev", "lo", "table", "102")
	check("all of IPv6 in another table", here, "2001:db8:c::9", true, "::/0")

	if err := unix.SetsockoptInt(here, unix.IPPROTO_IP, unix.IP_TRANSPARENT, 1); err != nil {
		t.Fatal(err)
	}
	check("IP_TRANSPARENT", here, "2001:db8:5::9", true, "unknown")
}

// tcpSocket is a socket in the namespace of this thread.
func tcpSocket(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}
