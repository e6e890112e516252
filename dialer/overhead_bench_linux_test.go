package dialer_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
)

// BenchmarkDialOverhead compares a dial and its close with net.Dialer's, in turns,
// by time and by this process's processor time:
//
//	go test -run '^$' -bench DialOverhead -v ./dialer
//
// Without a timeout net.Dialer has nothing to watch while it waits. With one, as
// HTTP clients have, it has.
//
// The server accepts and reads. With server=elsewhere it is another process, with
// server=here goroutines of this one, whose time is counted as well: whoever leaves
// them more to do for later has to wait for it. With server=asleep the connections
// are accepted between the dials, so that those alone are measured.
func BenchmarkDialOverhead(b *testing.B) {
	for _, sources := range [][]netip.Prefix{nil, prefixes("127.1.0.1/32", "127.1.0.2/32", "127.1.0.3/32")} {
		for _, timeout := range []time.Duration{0, 30 * time.Second} {
			ours, theirs := &dialer.Dialer{Sources: sources, Timeout: timeout}, &net.Dialer{Timeout: timeout}
			b.Run(fmt.Sprintf("sources=%d/timeout=%v", len(sources), timeout), func(b *testing.B) {
				overheads(b, ours.Dial, theirs.Dial)
			})
		}
	}
}

type dialFunc = func(network, address string) (net.Conn, error)

func overheads(b *testing.B, ours, theirs dialFunc) {
	b.Run("server=elsewhere", func(b *testing.B) {
		overhead(b, ours, theirs, serveElsewhere(b, "127.0.0.1:0"), nil, nil)
	})
	b.Run("server=here", func(b *testing.B) {
		ended := make(chan struct{}, turn)
		addr := serve(b, "127.0.0.1:0", func(c net.Conn) {
			io.Copy(io.Discard, struct{ io.Reader }{c})
			c.Close()
			ended <- struct{}{}
		})
		overhead(b, ours, theirs, addr, func() { <-ended }, nil)
	})
	b.Run("server=asleep", func(b *testing.B) {
		l := listen(b, "127.0.0.1:0")
		overhead(b, ours, theirs, l.Addr().String(), nil, func() {
			c, err := l.Accept()
			if err != nil {
				b.Fatal(err)
			}
			c.Close()
		})
	})
}

// overhead compares dials to addr, done in turns. At the end of a turn it calls
// served for each of its dials, and that is measured, too, and then after, which is
// not.
func overhead(b *testing.B, by, baseline dialFunc, addr string, served, after func()) {
	ours, theirs := turns(dials(b, by, addr), served), turns(dials(b, baseline, addr), served)
	var times, cpu []float64
	for b.Loop() {
		for range 20 {
			t, c := pairOf(b, ours, theirs, turns(after))
			times, cpu = append(times, t), append(cpu, c)
		}
	}
	report := func(what, unit string, ratios []float64) {
		slices.Sort(ratios)
		at := func(share float64) float64 { return ratios[int(share*float64(len(ratios)-1))] }
		b.Logf("%s, %d pairs: median ratio %.3f, quartiles %.3f and %.3f, extremes %.3f and %.3f", what, len(ratios), at(.5), at(.25), at(.75), at(0), at(1))
		b.ReportMetric(at(.5), unit)
	}
	report("time", "ours/net", times)
	report("processor time", "ours/net-CPU", cpu)
}

// dials returns a function that dials and closes once.
func dials(b *testing.B, dial dialFunc, addr string) func() {
	return func() {
		c, err := dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		release([]net.Conn{c})
	}
}

// turn is how many dials are done in a row.
const turn = 10

// turns returns a function that calls each of the functions, which may be nil, so
// often.
func turns(fs ...func()) func() {
	return func() {
		for _, f := range fs {
			for i := 0; f != nil && i < turn; i++ {
				f()
			}
		}
	}
}

// pairOf is the ratios of some hundred dials each, taken in turns.
func pairOf(b *testing.B, ours, theirs, after func()) (times, cpu float64) {
	var our, their spent
	for range 20 {
		our.on(b, ours)
		after()
		their.on(b, theirs)
		after()
	}
	return ratio(our.time, their.time), ratio(our.cpu, their.cpu)
}

// spent is what was spent on something.
type spent struct{ time, cpu time.Duration }

func (s *spent) on(b *testing.B, f func()) {
	cpu, start := cpuTime(b), time.Now()
	f()
	s.time += time.Since(start)
	s.cpu += cpuTime(b) - cpu
}
