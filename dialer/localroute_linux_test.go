package dialer

import (
	"fmt"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

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
	cookie, same := sameNamespace(here, here)
	if !same {
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
	check := func(why string, fd int, addr, want string) {
		t.Helper()
		route, known := new(localRoutes).find(fd, netip.MustParseAddr(addr))
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
	check("no routes at all", here, "2001:db8:5::9", "none")
	check("no routes at all", here, "192.0.2.9", "none")
	ip("", "link", "set", "lo", "up")
	check("another namespace", elsewhere, "::1", "unknown")
	check("loopback", here, "::1", "::1/128")
	check("loopback", here, "127.1.2.3", "127.0.0.0/8")

	var many strings.Builder // so that the kernel lists them in several parts
	for i := range 2000 {
		fmt.Fprintf(&many, "route add local 2001:db8:6:%x::/64 dev lo table 100\n", i)
	}
	many.WriteString("route add local 2001:db8:5::/64 dev lo\n" +
		"route add local 2001:db8:7::/64 dev lo table 101\n" +
		"route add anycast 2001:db8:8::/64 dev lo table 101\n" +
		"route add local 192.0.2.0/24 dev lo\n" +
		"route add local default dev lo table 102\n" +
		"route add unreachable 2001:db8:a::/48\n" +
		"route add blackhole 2001:db8:b::/48\n" +
		"route add 2001:db8:c::/48 dev lo\n")
	ip(many.String(), "-batch", "-")
	usual := func() {
		check("local", here, "2001:db8:5::9", "2001:db8:5::/64")
		check("local", here, "192.0.2.9", "192.0.2.0/24")
		check("unreachable", here, "2001:db8:a::9", "none")
		check("blackhole", here, "2001:db8:b::9", "none")
		check("unicast", here, "2001:db8:c::9", "none")
	}
	usual()
	check("a table that no rule leads to", here, "2001:db8:7::9", "none")
	check("a table that no rule leads to", here, "198.51.100.9", "none")
	for _, family := range []string{"-4", "-6"} {
		ip("", family, "rule", "add", "iif", "lo", "fwmark", "1", "lookup", "101")
	}
	usual()
	check("another table", here, "2001:db8:7::9", "2001:db8:7::/64")
	check("another table", here, "2001:db8:6:7cf::9", "2001:db8:6:7cf::/64")
	check("an anycast route in another table", here, "2001:db8:8::9", "2001:db8:8::/64")
	check("all of IPv4 in another table", here, "198.51.100.9", "0.0.0.0/0")
	var once localRoutes // one search serves all who ask within a second
	src := netip.MustParseAddr("2001:db8:c::9")
	if route, known := once.find(here, src); !known || route.IsValid() {
		t.Errorf("got %v, known %v, for %v, want none", route, known, src)
	}
	ip("", "-6", "route", "add", "local", "default", "dev", "lo", "table", "102")
	collected := once.tables[tablesOf{cookie, true}].at
	for {
		route, known := once.find(here, src)
		age := time.Since(collected)
		if known && route.IsValid() {
			if age < goodFor {
				t.Errorf("after %v: got %v for %v, want what was found before, for %v", age, route, src, goodFor)
			}
			break
		}
		if !known || age > 5*goodFor {
			t.Fatalf("after %v: got %v, known %v, for %v, want ::/0", age, route, known, src)
		}
	}
	check("all of IPv6 in another table", here, "2001:db8:c::9", "::/0")

	if err := unix.SetsockoptInt(here, unix.IPPROTO_IP, unix.IP_TRANSPARENT, 1); err != nil {
		t.Fatal(err)
	}
	check("IP_TRANSPARENT", here, "2001:db8:5::9", "unknown")
}

// Whatever a rule goes by, a packet that comes in may be looked up in other tables
// than one that goes out.
func TestRulesThatLeadPacketsToOtherTablesAreNoticed(t *testing.T) {
	runtime.LockOSThread() // for good: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		mustrun.Skipf(t, "this makes a network namespace: %v", err)
	}
	routes, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(routes)
	for family, a := range map[string]netip.Addr{"-4": netip.IPv4Unspecified(), "-6": netip.IPv6Unspecified()} {
		wantSame := func(why string, want bool) {
			t.Helper()
			if got := sameForAll(routes, a); got != want {
				t.Errorf("%s: got %v for ip %s rule, want %v", why, got, family, want)
			}
		}
		wantSame("the rules there are at first", true)
		for _, rule := range []string{
			"lookup 100", "lookup 1000", "fwmark 1 lookup main", "iif lo lookup local", "oif lo lookup main", "tos 8 lookup main",
			"uidrange 0-10 lookup main", "ipproto tcp lookup main", "sport 1-2 lookup main", "dport 80 lookup main", "l3mdev",
			"not lookup main", "prohibit", "goto 32766", "lookup main suppress_prefixlength 0", "lookup main suppress_ifgroup 1",
			map[string]string{"-4": "from 192.0.2.0/24 lookup main", "-6": "to 2001:db8::/32 lookup main"}[family],
		} {
			for _, verb := range []string{"add", "del"} {
				args := append([]string{family, "rule", verb, "pref", "50"}, strings.Fields(rule)...)
				if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
					if verb == "add" {
						t.Logf("ip %v: %v: %s", args, err, out) // not every kernel has every kind
						break
					}
					t.Fatalf("ip %v: %v: %s", args, err, out)
				}
				wantSame(verb+" "+rule, verb == "del")
			}
		}
	}
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
