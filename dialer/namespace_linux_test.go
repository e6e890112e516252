package dialer_test

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stayopen-go/stayopen/internal/checks/mustrun"
)

const ownNamespace = "STAYOPEN_OWN_NAMESPACE"

// inNamespace has the benchmark done by a process of its own, in a network
// namespace with nothing but loopback and with that range of ports, and reports
// here what is measured there. In that process it returns true. One thread in
// such a namespace would be less to do, but a goroutine that is locked to it has
// it woken in the middle of each connect, which takes longer than the connect.
func inNamespace(b *testing.B, portRange string) bool {
	b.Helper()
	if os.Getenv(ownNamespace) == "" {
		reportFrom(b, elsewhere(b))
		return false
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		b.Fatalf("ip, of iproute2: %v: %s", err, out)
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte(portRange), 0); err != nil {
		b.Fatal(err)
	}
	return true
}

// elsewhere runs the benchmark in a new namespace and returns what it prints.
func elsewhere(b *testing.B) string {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(b.Context(), self, "-test.run=^$", "-test.bench=^"+b.Name()+"$", "-test.v",
		"-test.benchtime="+flag.Lookup("test.benchtime").Value.String(), "-test.cpu="+strconv.Itoa(runtime.GOMAXPROCS(0)))
	cmd.Env = append(os.Environ(), ownNamespace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		mustrun.Skipf(b, "this makes a network namespace: %v", err)
	}
	if err != nil {
		b.Fatalf("in a namespace of its own: %v\n%s", err, out)
	}
	return string(out)
}

// reportFrom passes on the log and the metrics of a benchmark's output.
func reportFrom(b *testing.B, out string) {
	b.Helper()
	found := false
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "    ") { // and the file and line of the call
			_, text, _ := strings.Cut(line, ": ")
			b.Log(strings.TrimRight(text, "\n"))
			continue
		}
		f := strings.Fields(line) // name, number of runs, and then value and unit of each metric
		if len(f) < 4 || !strings.HasPrefix(f[0], b.Name()) {
			continue
		}
		found = true
		for i := 2; i+1 < len(f); i += 2 {
			if v, err := strconv.ParseFloat(f[i], 64); err == nil && f[i+1] != "ns/op" {
				b.ReportMetric(v, f[i+1])
			}
		}
	}
	if !found {
		b.Fatalf("the benchmark in a namespace of its own measured nothing:\n%s", out)
	}
}
