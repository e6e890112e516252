package dialer_test

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stayopen-go/stayopen/dialer"
)

// BenchmarkDialWithoutPorts compares what a dial costs that fails because every
// one of 16,000 ports is in use:
//
//	go test -run '^$' -bench WithoutPorts -benchtime 1x -v ./dialer
func BenchmarkDialWithoutPorts(b *testing.B) {
	needFiles(b, fillPorts+1000)
	if !inNamespace(b, fmt.Sprint(20000, 20000+fillPorts-1)) {
		return
	}
	addr := serveElsewhere(b, "127.0.0.1:10001")
	d := &dialer.Dialer{Sources: prefixes("127.0.0.1/32")}
	open := openAll(d.Dial, []string{addr}, fillPorts)
	defer func() { release(open) }()
	if len(open) != fillPorts {
		b.Fatalf("got %d connections, want %d", len(open), fillPorts)
	}
	for b.Loop() {
		ours := failing(b, d.Dial, addr, 20000)
		theirs := failing(b, new(net.Dialer).Dial, addr, 100)
		b.Logf("net.Dialer: median %v, CPU %v; dialer.Dialer: median %v, CPU %v (%.3f %%)",
			theirs.median, theirs.cpu, ours.median, ours.cpu, 100*ratio(ours.cpu, theirs.cpu))
		b.ReportMetric(ratio(ours.cpu, theirs.cpu), "ours/net-CPU")
		b.ReportMetric(float64(ours.median.Nanoseconds()), "median-ns")
	}
}

// cost is what one dial of many took.
type cost struct{ median, cpu time.Duration }

func failing(b *testing.B, dial func(network, address string) (net.Conn, error), addr string, n int) cost {
	var times []time.Duration
	before := cpuTime(b)
	for range n {
		start := time.Now()
		_, err := dial("tcp", addr)
		times = append(times, time.Since(start))
		if !errors.Is(err, unix.EADDRNOTAVAIL) {
			b.Fatalf("got %v, want %v", err, unix.EADDRNOTAVAIL)
		}
	}
	used := cpuTime(b) - before
	slices.Sort(times)
	return cost{median: times[n/2], cpu: used / time.Duration(n)}
}

func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
