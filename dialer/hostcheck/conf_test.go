package hostcheck_test

import (
	"strings"
	"testing"

	"github.com/stayopen-go/stayopen/dialer/hostcheck"
)

func override(t *testing.T, conf string) *hostcheck.Settings {
	t.Helper()
	var s hostcheck.Settings
	if err := s.Override("sysctl.conf", strings.NewReader(conf)); err != nil {
		t.Fatal(err)
	}
	return &s
}

func TestAFileIsReadAsSysctlReadsIt(t *testing.T) {
	s := override(t, strings.Join([]string{
		"# a comment",
		"; another = one",
		"",
		"net.ipv4.tcp_fin_timeout = 10",
		"net/ipv4/tcp_tw_reuse=1",
		"  -net.core.somaxconn\t=  128  ",
		"net.ipv4.ip_local_port_range = 1024\t65000",
		"net/ipv4/conf/eth0.100/rp_filter = 2",
		"net.ipv4.conf.eth1/100.rp_filter = 1",
		"net.ipv4.tcp_max_tw_buckets = 5000 # for the kernel, the number ends where the space is",
		"net.ipv4.ip_local_reserved_ports =",
		"kernel.core_pattern = |/bin/false = %p",
		"net.ipv4.tcp_fin_timeout = 20",
		"net.ipv4.tcp_keepalive_* = 9",
		"net.ipv4.tcp_keepalive_time = 100",
		"-net.ipv4.conf.lo.rp_filter",
	}, "\r\n"))
	for key, want := range map[string]hostcheck.Value{
		"net.ipv4.tcp_fin_timeout":            {Text: "20", File: "sysctl.conf", Line: 13},
		"net.ipv4.tcp_tw_reuse":               {Text: "1", File: "sysctl.conf", Line: 5},
		"net.core.somaxconn":                  {Text: "128", File: "sysctl.conf", Line: 6},
		"net.ipv4.ip_local_port_range":        {Text: "1024 65000", File: "sysctl.conf", Line: 7},
		"net.ipv4.conf.eth0/100.rp_filter":    {Text: "2", File: "sysctl.conf", Line: 8},
		"net.ipv4.conf.eth1/100.rp_filter":    {Text: "1", File: "sysctl.conf", Line: 9},
		"net.ipv4.ip_local_reserved_ports":    {Text: "", File: "sysctl.conf", Line: 11},
		"kernel.core_pattern":                 {Text: "|/bin/false = %p", File: "sysctl.conf", Line: 12},
		"net.ipv4.tcp_keepalive_intvl":        {Text: "9", File: "sysctl.conf", Line: 14},
		"net.ipv4.tcp_keepalive_time":         {Text: "100", File: "sysctl.conf", Line: 15},
		"net.ipv4.conf.lo.rp_filter":          {Absent: true},
		"net.ipv4.tcp_keepalive_*":            {Absent: true},
		"net.ipv4.tcp_timestamps":             {Absent: true},
		"net.ipv4.tcp_syn_linear_timeouts":    {Absent: true},
		"net.ipv4.conf.eth0.100.rp_filter":    {Absent: true},
		"net.ipv4.tcp_keepalive_time_of_mine": {Absent: true},
	} {
		if got := s.Value(key); got != want {
			t.Errorf("%s: got %+v, want %+v", key, got, want)
		}
	}
	if n, ok := s.Int("net.ipv4.tcp_max_tw_buckets"); n != 5000 || !ok {
		t.Errorf("a number with something behind it: got %d, %v, want 5000", n, ok)
	}
	if lo, hi, ok := s.PortRange(); lo != 1024 || hi != 65000 || !ok {
		t.Errorf("got ports %d to %d, %v, want 1024 to 65000", lo, hi, ok)
	}
}

func TestALineThatIsNoneIsNamed(t *testing.T) {
	for line, want := range map[string]string{
		"net.ipv4.tcp_fin_timeout":    "not of the form key = value",
		"net.ipv4.tcp_fin_timeout 30": "not of the form key = value",
		"= 30":                        "no name of a parameter",
		"net.ipv4.tcp_fin_timeout = half a minute":     `"half" is no number`,
		"net.ipv4.tcp_fin_timeout =":                   "want a number",
		"net.ipv4.ip_local_port_range = 1024":          "want two numbers",
		"net.ipv4.ip_local_port_range = 1024-65000":    "want two numbers",
		"net.ipv4.ip_local_reserved_ports = 80,a":      `"a" is neither`,
		"net.ipv4..tcp_fin_timeout = 1":                "no name of a parameter",
		"../../etc/passwd = 1":                         "no name of a parameter",
		"net.ipv4.[ = 1":                               "no name of a parameter",
		"net.ipv4.tcp fin_timeout = 1":                 "no name of a parameter",
		"net.ipv4.tcp_tw_reuse = 99999999999999999999": "no number",
		strings.Repeat("x", 1<<17) + " = 1":            "too long",
	} {
		var s hostcheck.Settings
		err := s.Override("my.conf", strings.NewReader("net.core.somaxconn = 1\n\n"+line+"\n"))
		if err == nil || !strings.Contains(err.Error(), "my.conf:3: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: got %v, want an error that names line 3 and says %q", line, err, want)
		}
		if v := s.Value("net.core.somaxconn"); !v.Absent {
			t.Errorf("%.60q: got %+v from the line before, want that nothing is overridden", line, v)
		}
	}
}

func FuzzAnyFileIsReadOrRefused(f *testing.F) {
	f.Add("net.ipv4.tcp_fin_timeout = 30\n# x\n-a/b.c\n*.[a] = 1")
	f.Add("net.ipv4.ip_local_port_range = 0 70000\nnet.ipv4.ip_local_reserved_ports=1-65535")
	f.Fuzz(func(t *testing.T, text string) {
		var s hostcheck.Settings
		if s.Override("f", strings.NewReader(text)) == nil {
			hostcheck.Check(&s, nil)
		}
	})
}

// What the kernel refuses changes nothing, so that what was set before is judged.
func TestWhatIsRefusedLeavesWhatWasSetBefore(t *testing.T) {
	for conf, want := range map[string]struct {
		ports int
		stays string
		line  int // of what holds
	}{
		"net.ipv4.ip_local_port_range = 40000 49999\nnet.ipv4.ip_local_port_range = 65000 1024":                                           {10_000, "stays: 40000 49999. The first", 1},
		"net.ipv4.ip_local_port_range = 40000 49999\nnet.ipv4.ip_local_port_range = 80 65535\nnet.ipv4.ip_local_port_range = 40000 70000": {10_000, "stays: 40000 49999. There is no port", 1},
		"net.ipv4.ip_local_port_range = 9 8\nnet.ipv4.ip_local_port_range = 40000 49999\nnet.ipv4.ip_local_port_range = 80 65535":         {10_000, "stays: 40000 49999. Ports below 1024", 2},
		"net.ipv4.ip_local_port_range = 65000 1024":                                                              {0, "what was set before stays. The first", 0},
		"net.ipv4.ip_local_port_range = 40000 49999\nnet.ipv4.tcp_syncookies = 0\nnet.ipv4.tcp_syncookies = 256": {10_000, "stays: 0. It accepts", 1},
	} {
		s := override(t, conf)
		if got := s.LocalPorts(); got != want.ports {
			t.Errorf("%s: got %d local ports, want %d", conf, got, want.ports)
		}
		found := hostcheck.Check(s, nil)
		if f := find(t, found, "value-refused"); !strings.Contains(f.Effect, want.stays) || f.File == "" {
			t.Errorf("%s: got %+v, want one that says %q", conf, f, want.stays)
		}
		if want.line == 0 {
			continue
		}
		if f := find(t, found, "port-range-size"); f.Set != "40000 49999" || f.Line != want.line {
			t.Errorf("%s: got %+v, want it about line %d", conf, f, want.line)
		}
	}
}

func TestWhatIsNotJudgedIsNamed(t *testing.T) {
	s := override(t, `net.core.rmem_max = 16777216
vm.swappiness = 10
net.ipv4.tcp_fin_timeout = 60
net.ipv4.tcp_keepalive_intvl = 30
net.ipv4.tcp_tw_reuse_delay = 1000
net.ipv4.conf.*.rp_filter = 1
net.ipv4.conf.*.rp_filter = 2
net.ipv4.tcp_synack_* = 5
-net.core.rmem_max = 8388608`)
	f := find(t, hostcheck.Check(s, nil), "not-judged")
	if want := "not judged: net.ipv4.tcp_keepalive_intvl, net.core.rmem_max, vm.swappiness, net.ipv4.conf.*.rp_filter"; f.Set != want || f.Key != "file" || f.File != "sysctl.conf" || f.Severity != hostcheck.Note {
		t.Errorf("got %+v, want %q of the file", f, want)
	}
	if err := s.Override("other.conf", strings.NewReader("kernel.pid_max = 1\nvm.swappiness = 20")); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range hostcheck.Check(s, nil) {
		if f.ID == "not-judged" {
			got = append(got, f.File+" "+f.Set)
		}
	}
	if want := "other.conf not judged: kernel.pid_max, vm.swappiness"; len(got) != 2 || got[0] != want {
		t.Errorf("got %q, want the first to be %q", got, want)
	}
}
