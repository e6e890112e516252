package dialer_test

import (
	"net"
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
// The server accepts and reads. With server=elsewhere it is another process, with
// server=here a goroutine of this one, whose processor time is counted as well.
// With server=asleep the connections are accepted between the dials, so that those
// alone are measured.
func BenchmarkDialOverhead(b *testing.B) {
	for name, d := range map[string]*dialer.Dialer{
		"sources=0": {},
		"sources=3": {Sources: prefixes("127.1.0.1/32", "127.1.0.2/32", "127.1.0.3/32")},
	} {
		b.Run(name+"/server=elsewhere", func(b *testing.B) {
			overhead(b, d, serveElsewhere(b, "127.0.0.1:0"), func(int) {})
		})
		b.Run(name+"/server=here", func(b *testing.B) {
			overhead(b, d, sink(b, "127.0.0.1:0"), func(int) {})
		})
		b.Run(name+"/server=asleep", func(b *testing.B) {
			l := listen(b, "127.0.0.1:0")
			overhead(b, d, l.Addr().String(), func(n int) {
				for range n {
					c, err := l.Accept()
					if err != nil {
						b.Fatal(err)
					}
					c.Close()
				}
			})
		})
	}
}

// overhead compares dials to addr. After so many of them it calls after.
func overhead(b *testing.B, d *dialer.Dialer, addr string, after func(dials int)) {
	ours, theirs := dials(b, d.Dial, addr), dials(b, new(net.Dialer).Dial, addr)
	var times, cpu []float64
	for b.Loop() {
		for range 20 {
			t, c := pairOf(b, ours, theirs, after)
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
func dials(b *testing.B, dial func(network, address string) (net.Conn, error), addr string) func() {
	return func() {
		c, err := dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		release([]net.Conn{c})
	}
}

// pairOf is the ratios of some hundred dials each, taken in turns of ten.
func pairOf(b *testing.B, ours, theirs func(), after func(dials int)) (times, cpu float64) {
	const turn = 10
	var our, their spent
	for range 20 {
		our.on(b, ours, turn)
		after(turn)
		their.on(b, theirs, turn)
		after(turn)
	}
	return ratio(our.time, their.time), ratio(our.cpu, their.cpu)
}

// spent is what was spent on something.
type spent struct{ time, cpu time.Duration }

func (s *spent) on(b *testing.B, f func(), n int) {
	start, cpu := time.Now(), cpuTime(b)
	for range n {
		f()
	}
	s.cpu += cpuTime(b) - cpu
	s.time += time.Since(start)
}
