package hostcheck_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stayopen-go/stayopen/dialer/hostcheck"
)

// ids lists what was found, worse than good, as "severity id".
func ids(all []hostcheck.Finding) []string {
	var list []string
	for _, f := range all {
		if f.Severity > hostcheck.Good {
			list = append(list, fmt.Sprintf("%v %s", f.Severity, f.ID))
		}
	}
	return list
}

func TestLinuxAsItComesHasNothingToBeWarnedOf(t *testing.T) {
	s := override(t, `net.ipv4.ip_local_port_range = 32768 60999
net.ipv4.ip_local_reserved_ports =
net.ipv4.tcp_tw_reuse = 2
net.ipv4.tcp_timestamps = 1
net.ipv4.tcp_max_tw_buckets = 131072
net.ipv4.tcp_fin_timeout = 60
net.core.somaxconn = 4096
net.ipv4.tcp_syncookies = 1
net.ipv4.tcp_syn_retries = 6
net.ipv4.tcp_synack_retries = 5
net.ipv4.tcp_abort_on_overflow = 0
net.ipv4.tcp_retries2 = 15
net.ipv4.tcp_orphan_retries = 0
net.ipv4.tcp_rto_max_ms = 120000
net.ipv4.tcp_max_orphans = 131072
net.ipv4.tcp_keepalive_time = 7200
net.netfilter.nf_conntrack_max = 262144
net.netfilter.nf_conntrack_count = 10
net.netfilter.nf_conntrack_tcp_timeout_established = 432000
net.netfilter.nf_conntrack_tcp_timeout_time_wait = 120`)
	found := hostcheck.Check(s, nil)
	if got, want := ids(found), []string{"note keepalive-time"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(found) < 10 {
		t.Errorf("got %d findings, want one for every setting that was judged", len(found))
	}
}

func TestEverySettingThatIsWrongIsFound(t *testing.T) {
	for conf, want := range map[string]string{
		"net.ipv4.tcp_tw_recycle = 1":                                                 "warning tw-recycle",
		"net.ipv4.tcp_tw_recycle = 0":                                                 "warning tw-recycle",
		"net.ipv4.tcp_fin_timeout = 30":                                               "warning fin-timeout",
		"net.ipv4.tcp_fin_timeout = 90":                                               "note fin-timeout",
		"net.ipv4.tcp_max_tw_buckets = 0":                                             "warning tw-buckets",
		"net.ipv4.tcp_tw_reuse = 1":                                                   "note tw-reuse",
		"net.ipv4.tcp_tw_reuse = 3":                                                   "warning value-refused",
		"net.ipv4.tcp_tw_reuse_delay = 0":                                             "warning value-refused",
		"net.ipv4.tcp_timestamps = 0":                                                 "warning timestamps",
		"net.ipv4.ip_local_port_range = 40000 41001":                                  "warning port-range-size",
		"net.ipv4.ip_local_port_range = 1024 65535":                                   "note port-range-services",
		"net.ipv4.ip_local_port_range = 65000 1024":                                   "warning value-refused",
		"net.ipv4.ip_local_port_range = 80 65535":                                     "warning value-refused",
		"net.ipv4.ip_local_port_range = 40000 70001":                                  "warning value-refused",
		"net.ipv4.ip_local_port_range = 32768 61000":                                  "note port-range-parity",
		"net.core.somaxconn = 128":                                                    "warning somaxconn",
		"net.ipv4.tcp_syncookies = 0":                                                 "warning syncookies",
		"net.ipv4.tcp_syncookies = 2":                                                 "warning syncookies",
		"net.ipv4.tcp_syn_retries = 1":                                                "warning syn-retries",
		"net.ipv4.tcp_synack_retries = 1":                                             "warning synack-retries",
		"net.ipv4.tcp_abort_on_overflow = 1":                                          "warning abort-on-overflow",
		"net.ipv4.tcp_retries2 = 5":                                                   "warning retries2",
		"net.ipv4.tcp_retries2 = 8":                                                   "",
		"net.ipv4.tcp_orphan_retries = 1":                                             "note orphan-retries",
		"net.ipv4.tcp_orphan_retries = 8":                                             "",
		"net.netfilter.nf_conntrack_tcp_timeout_time_wait = 30":                       "note conntrack-time-wait",
		"net.netfilter.nf_conntrack_max = 100\nnet.netfilter.nf_conntrack_count = 81": "warning conntrack-max",
		"net.netfilter.nf_conntrack_max = 100\nnet.netfilter.nf_conntrack_count = 99": "error conntrack-max",
		"net.netfilter.nf_conntrack_tcp_timeout_established = 600\nnet.ipv4.tcp_keepalive_time = 300": "",
		"net.netfilter.nf_conntrack_tcp_timeout_established = 200\nnet.ipv4.tcp_keepalive_time = 300": "note conntrack-established",
		"fs.file-max = 9223372036854775807\nfs.file-nr = 2000 0 9223372036854775807":                  "",
		"fs.file-max = 1000\nfs.file-nr = 960 0 1000":                                                 "error file-max",
		"net.ipv4.tcp_max_tw_buckets = 5000\nnet.ipv4.ip_local_port_range = 32768 60999":              "warning tw-buckets",
		"net.ipv4.tcp_max_syn_backlog = 8192\nnet.ipv4.tcp_syncookies = 1":                            "note syn-backlog",
		"net.ipv4.ip_local_port_range = 32768 60999\nnet.ipv4.ip_local_reserved_ports = 32769-55000":  "warning port-range-size",
		"net.ipv4.tcp_tw_reuse = 1\nnet.ipv4.tcp_timestamps = 0":                                      "warning tw-reuse, warning timestamps",
	} {
		if got := strings.Join(ids(hostcheck.Check(override(t, conf), nil)), ", "); got != want {
			t.Errorf("%s: got %q, want %q", conf, got, want)
		}
	}
}

func TestFindingsSayWhereTheValueIsFrom(t *testing.T) {
	f := find(t, hostcheck.Check(override(t, "\nnet.ipv4.tcp_fin_timeout = 30"), nil), "fin-timeout")
	if f.File != "sysctl.conf" || f.Line != 2 || f.Set != "30" || f.Key != "net.ipv4.tcp_fin_timeout" {
		t.Errorf("got %+v, want it from line 2", f)
	}
	if !strings.Contains(f.Effect, "nothing to do with TIME_WAIT") || !strings.Contains(f.Recipe, "= 30") || f.Wrong == "" {
		t.Errorf("got %+v, want one that says it does not shorten TIME_WAIT", f)
	}
}

func TestAnOldKernelHasTwRecycle(t *testing.T) {
	s := override(t, "net.ipv4.tcp_tw_recycle = 1")
	s.Kernel = "3.10.0-1160.el7.x86_64"
	if f := find(t, hostcheck.Check(s, nil), "tw-recycle"); f.Severity != hostcheck.Error || !strings.Contains(f.Effect, "SYNs are dropped") {
		t.Errorf("on Linux 3.10: got %+v, want an error", f)
	}
}

// dialed is a census of connections from one source.
func dialed(dst string, counts map[hostcheck.State]int) *hostcheck.Census {
	c := &hostcheck.Census{Counts: map[hostcheck.Group]int{}}
	for s, n := range counts {
		c.Counts[hostcheck.Group{State: s, Local: netip.MustParseAddrPort("10.0.0.1:0"), Remote: netip.MustParseAddrPort(dst)}] = n
	}
	return c
}

func TestPortsThatRunOutAreFoundWithTheNumbers(t *testing.T) {
	const conf = "net.ipv4.ip_local_port_range = 32768 60999\nnet.ipv4.tcp_timestamps = 1\nnet.ipv4.tcp_tw_reuse = "
	for _, test := range []struct {
		reuse, dst           string
		established, waiting int
		want                 string
	}{
		{"2", "10.0.0.2:443", 100, 10_000, ""},
		{"2", "10.0.0.2:443", 0, 15_000, "note ports-used"},
		{"2", "10.0.0.2:443", 100, 23_000, "warning ports-used"},
		{"2", "10.0.0.2:443", 1_000, 26_000, "error ports-used"},
		{"0", "127.0.0.1:443", 1_000, 26_000, "error ports-used"},
		{"2", "127.0.0.1:443", 1_000, 26_000, ""}, // taken over
		{"1", "10.0.0.2:443", 1_000, 26_000, "note tw-reuse"},
		{"1", "10.0.0.2:443", 27_000, 0, "error ports-used, note tw-reuse"},
	} {
		c := dialed(test.dst, map[hostcheck.State]int{hostcheck.Established: test.established, hostcheck.TimeWait: test.waiting})
		found := hostcheck.Check(override(t, conf+test.reuse), c)
		if got := strings.Join(ids(found), ", "); got != test.want {
			t.Errorf("%+v: got %q, want %q", test, got, test.want)
		}
		if !strings.Contains(test.want, "error ports-used") {
			continue
		}
		f := find(t, found, "ports-used")
		if want := fmt.Sprintf("10.0.0.1 to %s: 27000 of 28232 local ports in use, %d of them in TIME_WAIT", test.dst, test.waiting); f.Set != want {
			t.Errorf("got %q, want %q", f.Set, want)
		}
		if says := "closed 26000 first within the last minute, 434 a second"; strings.Contains(f.Change, says) != (test.waiting > 0) {
			t.Errorf("%+v: got %q, want the rate of closes where there were some", test, f.Change)
		}
	}
}

func TestHeapsOfHalfClosedConnectionsAreFound(t *testing.T) {
	s := override(t, "net.ipv4.tcp_fin_timeout = 60")
	for n, want := range map[int]string{99: "", 100: "warning close-wait, warning fin-wait-2"} {
		c := dialed("10.0.0.2:443", map[hostcheck.State]int{hostcheck.CloseWait: n, hostcheck.FinWait2: n})
		found := hostcheck.Check(s, c)
		if got := strings.Join(ids(found), ", "); got != want {
			t.Errorf("%d of each: got %q, want %q", n, got, want)
		}
		if n == 100 {
			if f := find(t, found, "close-wait"); f.Set != "100 sockets in CLOSE_WAIT: 100 to 10.0.0.2:443" {
				t.Errorf("got %q, want the number and the place", f.Set)
			}
		}
	}
}

func TestListenersThatShareAPortAreToldOfTheirQueues(t *testing.T) {
	l := hostcheck.Socket{State: hostcheck.Listen, Local: netip.MustParseAddrPort("[::]:8080"), Backlog: 4096}
	s := override(t, "net.ipv4.tcp_migrate_req = 0")
	for n, want := range map[int]string{1: "", 2: "note migrate-req", 3: "note migrate-req"} {
		if got := strings.Join(ids(hostcheck.Check(s, &hostcheck.Census{Listeners: slices.Repeat([]hostcheck.Socket{l}, n)})), ", "); got != want {
			t.Errorf("%d listeners: got %q, want %q", n, got, want)
		}
	}
}

func TestOtherSystemsAreJudgedByTheirDocumentation(t *testing.T) {
	for system, conf := range map[string]string{
		"darwin":  "net.inet.tcp.msl = 1000\nnet.inet.ip.portrange.first = 49152\nnet.inet.ip.portrange.last = 65535",
		"freebsd": "net.inet.tcp.msl = 1000\nnet.inet.ip.portrange.first = 10000\nnet.inet.ip.portrange.last = 65535",
		"windows": "",
	} {
		s := &hostcheck.Settings{OS: system}
		if err := s.Override("f", strings.NewReader(conf)); err != nil {
			t.Fatal(err)
		}
		found := hostcheck.Check(s, nil)
		if len(found) < 2 {
			t.Errorf("%s: got %d findings, want some about ports and TIME_WAIT", system, len(found))
		}
		for _, f := range found {
			if !strings.Contains(f.Effect, "was not measured here") {
				t.Errorf("%s: got %+v, want it said that nothing was measured", system, f)
			}
		}
		wantTimeWait := "TIME_WAIT takes twice as long: 2 s"
		if system == "windows" {
			wantTimeWait = "TIME_WAIT takes as long as"
		}
		if f := find(t, found, "time-wait"); !strings.Contains(f.Effect, wantTimeWait) {
			t.Errorf("%s: got %q, want that it %s", system, f.Effect, wantTimeWait)
		}
	}
}

func TestEveryFindingIsWhole(t *testing.T) {
	s := read(t)
	if err := s.Override("f", strings.NewReader("net.ipv4.no_such = 1\nnet.ipv4.tcp_fin_timeout = 1")); err != nil {
		t.Fatal(err)
	}
	found := hostcheck.Check(s, nil)
	for i, f := range found {
		if f.ID == "" || f.Key == "" || f.Effect == "" || f.Change == "" || (f.Recipe == "") != (f.Wrong == "") {
			t.Errorf("got %+v, want every part of it filled in", f)
		}
		if i > 0 && f.Severity > found[i-1].Severity {
			t.Errorf("got %v after %v, want the worst first", f.Severity, found[i-1].Severity)
		}
	}
}

func TestAFindingIsTheSameInJSON(t *testing.T) {
	b, err := json.Marshal(hostcheck.Finding{ID: "a", Severity: hostcheck.Warning, Key: "b", Set: "c", Effect: "d", Change: "e"})
	if want := `{"id":"a","severity":"warning","key":"b","set":"c","effect":"d","change":"e"}`; err != nil || string(b) != want {
		t.Errorf("got %s, %v, want %s", b, err, want)
	}
}

// The numbers are those of the kernel's own documentation (ip-sysctl.rst).
func TestHowLongAConnectionIsKeptWithoutAcknowledgments(t *testing.T) {
	for conf, want := range map[string]string{
		"net.ipv4.tcp_retries2 = 15":                                "15m24.6s",
		"net.ipv4.tcp_retries2 = 8":                                 "1m42.2s",
		"net.ipv4.tcp_retries2 = 0":                                 "200ms",
		"net.ipv4.tcp_retries2 = 5\nnet.ipv4.tcp_rto_max_ms = 1000": "4.4s",
		"net.ipv4.tcp_orphan_retries = 0":                           "1m42.2s",
		"net.ipv4.tcp_orphan_retries = 1":                           "600ms",
	} {
		id := "retries2"
		if strings.Contains(conf, "orphan") {
			id = "orphan-retries"
		}
		if f := find(t, hostcheck.Check(override(t, conf), nil), id); !strings.Contains(f.Effect, " "+want) {
			t.Errorf("%s: got %q, want %s in it", conf, f.Effect, want)
		}
	}
}

func TestTheLimitOfOrphansIsNotToBeLowered(t *testing.T) {
	s := override(t, "net.ipv4.tcp_max_orphans = 1000")
	for orphans, want := range map[int]string{10: "", 800: "warning max-orphans", 999: "error max-orphans"} {
		c := &hostcheck.Census{Stat: hostcheck.Stat{Orphans: orphans}}
		if got := strings.Join(ids(hostcheck.Check(s, c)), ", "); got != want {
			t.Errorf("%d orphans of 1,000: got %q, want %q", orphans, got, want)
		}
	}
}
