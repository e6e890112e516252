// Package netlab gives tests a small network of their own: two network
// namespaces, Client and Server, joined by a pair of virtual Ethernet devices.
// The kernel keeps local ports, TIME_WAITs and net.ipv4 settings for each
// namespace, so what a test counts there is its own, and what it uses up or
// changes is missed by nobody.
//
// A process lives in one namespace. So the test runs itself again in the one it
// wants:
//
//	func TestSomething(t *testing.T) {
//		if !netlab.Inside() {
//			lab := netlab.New(t)
//			lab.Sysctl(lab.Client, "net/ipv4/ip_local_port_range", "20000 20099")
//			lab.Rerun(t, lab.Client)
//			return
//		}
//		// Here is the test proper, in the namespace Client.
//	}
//
// Linux, root and the command ip (iproute2) are needed; without them New skips
// the test by way of mustrun.
package netlab

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stayopen-go/stayopen/internal/checks/mustrun"
)

// Addresses of the two ends. Every Lab has the same: its namespaces know of no
// other.
var (
	ClientAddr  = netip.MustParseAddr("198.18.0.1") // RFC 2544: set aside for tests of networks
	ServerAddr  = netip.MustParseAddr("198.18.0.2")
	ClientAddr6 = netip.MustParseAddr("2001:db8::1") // RFC 3849: documentation
	ServerAddr6 = netip.MustParseAddr("2001:db8::2")
)

// Lab is a pair of namespaces for one test.
type Lab struct {
	// Client and Server are the names of the namespaces. In both, loopback is
	// up, and the device eth0 leads to the other.
	Client, Server string

	tb testing.TB
}

// prefix begins the names of all namespaces made here, followed by the number of
// the process that made them.
const prefix = "stayopen-"

var serial atomic.Int64

// New makes a lab, to be taken down at the end of the test. It skips the test
// where that is not possible.
func New(tb testing.TB) *Lab {
	tb.Helper()
	require(tb)
	sweep(tb)
	name := fmt.Sprintf("%s%d-%d", prefix, os.Getpid(), serial.Add(1))
	l := &Lab{Client: name + "-client", Server: name + "-server", tb: tb}
	l.add(l.Client)
	l.add(l.Server)
	l.ip("-n", l.Client, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", l.Server)
	for _, ns := range []string{l.Client, l.Server} {
		l.up(ns)
	}
	l.AddAddr(l.Client, netip.PrefixFrom(ClientAddr, 24))
	l.AddAddr(l.Client, netip.PrefixFrom(ClientAddr6, 64))
	l.AddAddr(l.Server, netip.PrefixFrom(ServerAddr, 24))
	l.AddAddr(l.Server, netip.PrefixFrom(ServerAddr6, 64))
	return l
}

func require(tb testing.TB) {
	tb.Helper()
	if os.Geteuid() != 0 {
		mustrun.Skipf(tb, "this test makes network namespaces and is not run by root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		mustrun.Skipf(tb, "this test makes network namespaces with the command ip of iproute2: %v", err)
	}
	if _, err := os.Stat("/proc/net/if_inet6"); err != nil {
		mustrun.Skipf(tb, "this test makes a network with IPv6, which the kernel does not know: %v", err)
	}
	if out, err := exec.Command("ip", "netns", "list").CombinedOutput(); err != nil {
		mustrun.Skipf(tb, "this test makes network namespaces, which this system does not allow: %v: %s", err, out)
	}
}

// sweep removes what processes that were killed have left behind.
func sweep(tb testing.TB) {
	out, err := exec.Command("ip", "netns", "list").Output()
	if err != nil {
		tb.Fatalf("netlab: ip netns list: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		rest, ours := strings.CutPrefix(name, prefix)
		if !ours {
			continue
		}
		pid, _, _ := strings.Cut(rest, "-")
		if _, err := os.Stat("/proc/" + pid); os.IsNotExist(err) {
			exec.Command("ip", "netns", "del", name).Run() // another test may be faster
		}
	}
}

func (l *Lab) add(ns string) {
	l.tb.Helper()
	if out, err := exec.Command("ip", "netns", "add", ns).CombinedOutput(); err != nil {
		mustrun.Skipf(l.tb, "this test makes network namespaces, which this system does not allow: %v: %s", err, out)
	}
	l.tb.Cleanup(func() { l.ip("netns", "del", ns) })
}

// up starts the devices. The search for duplicate addresses is off: during it,
// the first packet to a neighbor is lost and the next comes a second later.
func (l *Lab) up(ns string) {
	l.tb.Helper()
	for _, key := range []string{"all/accept_dad", "eth0/accept_dad", "eth0/dad_transmits"} {
		l.Sysctl(ns, "net/ipv6/conf/"+key, "0")
	}
	l.ip("-n", ns, "link", "set", "lo", "up")
	l.ip("-n", ns, "link", "set", "eth0", "up")
}

// AddAddr gives eth0 in the namespace another address. The prefix length says
// which addresses can be reached by it.
func (l *Lab) AddAddr(ns string, p netip.Prefix) {
	l.tb.Helper()
	l.ip("-n", ns, "addr", "add", p.String(), "dev", "eth0")
}

// AddLocal has packets to any address of the prefix taken for local in the
// namespace.
func (l *Lab) AddLocal(ns string, p netip.Prefix) {
	l.tb.Helper()
	args := []string{"-n", ns, "route", "add", "local", p.String(), "dev", "lo"}
	if p.Addr().Is6() {
		args = append([]string{"-6"}, args...)
	}
	l.ip(args...)
}

// AddRoute has packets in the namespace go to the prefix by way of a gateway.
func (l *Lab) AddRoute(ns string, p netip.Prefix, via netip.Addr) {
	l.tb.Helper()
	args := []string{"-n", ns, "route", "add", p.String(), "via", via.String()}
	if p.Addr().Is6() {
		args = append([]string{"-6"}, args...)
	}
	l.ip(args...)
}

// Sysctl sets a kernel parameter in the namespace. Its key is written with
// slashes or with dots.
func (l *Lab) Sysctl(ns, key, value string) {
	l.tb.Helper()
	file := "/proc/sys/" + strings.ReplaceAll(key, ".", "/")
	l.ip("netns", "exec", ns, "sh", "-c", `printf '%s\n' "$1" >"$2"`, "sh", value, file)
}

// ip runs the command of that name, which must succeed, and returns what it says.
func (l *Lab) ip(args ...string) string {
	l.tb.Helper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		l.tb.Fatalf("netlab: ip %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}
