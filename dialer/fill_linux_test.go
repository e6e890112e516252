package dialer_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
)

const (
	fillPorts   = 16000
	benchServer = "STAYOPEN_BENCH_SERVER"
)

// BenchmarkConnectAsTheRangeFills compares how long a connect takes while the
// local ports towards one destination fill up, from 0 to 99 %.
//
//	go test -run '^$' -bench RangeFills -benchtime 3x -v ./dialer
//
// It works in a network namespace of its own, with a range of 16,000 ports.
func BenchmarkConnectAsTheRangeFills(b *testing.B) {
	needFiles(b, fillPorts+1000)
	if !inNamespace(b, fmt.Sprint(20000, 20000+fillPorts-1)) {
		return
	}
	theirs := &filling{addr: serveElsewhere(b, "127.0.0.1:10001"), dial: new(net.Dialer).Dial}
	ours := &filling{addr: serveElsewhere(b, "127.0.0.1:10002"), dial: (&dialer.Dialer{Sources: prefixes("127.0.0.1/32")}).Dial}
	for b.Loop() {
		for _, f := range []*filling{theirs, ours} {
			f.measure(b)
			release(f.open)
			f.open = nil
		}
	}
	b.Log("median time of a connect, and its ratio to an empty range:")
	for i, percent := range fillSteps {
		net, our := theirs.medians(i), ours.medians(i)
		b.Logf("%3d %% full: net.Dialer %10v (%6.1f)   dialer.Dialer %8v (%4.1f)", percent, net, ratio(net, theirs.medians(0)), our, ratio(our, ours.medians(0)))
		b.ReportMetric(ratio(net, theirs.medians(0)), fmt.Sprintf("net@%d%%/empty", percent))
		b.ReportMetric(ratio(our, ours.medians(0)), fmt.Sprintf("ours@%d%%/empty", percent))
	}
}

var fillSteps = []int{0, 60, 90, 99}

// filling fills the range for one destination.
type filling struct {
	addr  string
	dial  func(network, address string) (net.Conn, error)
	open  []net.Conn
	times [4][]time.Duration // at each of fillSteps
}

func (f *filling) measure(b *testing.B) {
	for i, percent := range fillSteps {
		for len(f.open) < fillPorts*percent/100 {
			f.open = append(f.open, f.dialed(b))
		}
		for range 501 {
			start := time.Now()
			c := f.dialed(b)
			f.times[i] = append(f.times[i], time.Since(start))
			release([]net.Conn{c})
		}
	}
}

func (f *filling) dialed(b *testing.B) net.Conn {
	c, err := f.dial("tcp", f.addr)
	if err != nil {
		b.Fatal(err)
	}
	return c
}

func (f *filling) medians(step int) time.Duration {
	return slices.Sorted(slices.Values(f.times[step]))[len(f.times[step])/2].Round(100 * time.Nanosecond)
}

// serveElsewhere starts a server in a process of its own, which has the
// descriptors and the processor time of its clients to themselves. It returns the
// address.
func serveElsewhere(tb testing.TB, addr string) string {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^TestServerOfTheBenchmarks$", "-test.v")
	cmd.Env = append(os.Environ(), benchServer+"="+addr)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if at, ok := strings.CutPrefix(lines.Text(), "serving "); ok {
			return at
		}
	}
	tb.Fatal("the server did not start")
	return ""
}

// TestServerOfTheBenchmarks is the other process, and elsewhere nothing.
func TestServerOfTheBenchmarks(t *testing.T) {
	if addr := os.Getenv(benchServer); addr != "" {
		fmt.Println("serving", sink(t, addr))
		io.Copy(io.Discard, os.Stdin)
	}
}
