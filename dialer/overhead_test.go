package dialer_test

import (
	"net"
	"slices"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
)

// BenchmarkDialOverhead compares a dial and its close with net.Dialer's, in turns:
//
//	go test -run '^$' -bench DialOverhead -v ./dialer
//
// With server=busy a server accepts each connection at once, which has the dial
// wake it more or less often. With server=asleep the connections are accepted
// between the dials, so that those alone are measured.
func BenchmarkDialOverhead(b *testing.B) {
	for name, d := range map[string]*dialer.Dialer{
		"sources=0": {},
		"sources=3": {Sources: prefixes("127.1.0.1/32", "127.1.0.2/32", "127.1.0.3/32")},
	} {
		b.Run(name+"/server=busy", func(b *testing.B) { overhead(b, d, sink(b, "127.0.0.1:0"), func(int) {}) })
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

func overhead(b *testing.B, d *dialer.Dialer, addr string, after func(dials int)) {
	ours, theirs := dials(b, d.Dial, addr), dials(b, new(net.Dialer).Dial, addr)
	var ratios []float64
	for b.Loop() {
		for range 20 {
			ratios = append(ratios, pairOf(ours, theirs, after))
		}
	}
	slices.Sort(ratios)
	at := func(share float64) float64 { return ratios[int(share*float64(len(ratios)-1))] }
	b.Logf("%d pairs: median ratio %.3f, quartiles %.3f and %.3f, extremes %.3f and %.3f", len(ratios), at(.5), at(.25), at(.75), at(0), at(1))
	b.ReportMetric(at(.5), "ours/net")
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

// pairOf is the ratio of some hundred dials each, taken in turns of ten.
func pairOf(ours, theirs func(), after func(dials int)) float64 {
	const turn = 10
	var a, b time.Duration
	for range 20 {
		a += timed(ours, turn)
		after(turn)
		b += timed(theirs, turn)
		after(turn)
	}
	return ratio(a, b)
}

func timed(f func(), n int) time.Duration {
	start := time.Now()
	for range n {
		f()
	}
	return time.Since(start)
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

func TestDialAllocatesLittleMoreThanNet(t *testing.T) {
	addr := listen(t, "127.0.0.1:0").Addr().String() // the kernel accepts, and allocates nothing here
	for name, test := range map[string]struct {
		d    *dialer.Dialer
		most float64
	}{
		"without Sources":      {&dialer.Dialer{}, 6},
		"with Sources":         {&dialer.Dialer{Sources: prefixes("127.1.0.1/32", "127.1.0.2/32", "127.1.0.3/32")}, 12},
		"Sticky without a key": {&dialer.Dialer{Sources: prefixes("127.1.0.1/32", "127.1.0.2/32", "127.1.0.3/32"), Chooser: dialer.Sticky{}}, 12},
	} {
		ours, theirs := allocs(t, test.d.Dial, addr), allocs(t, new(net.Dialer).Dial, addr)
		t.Logf("%s: %g allocations, net.Dialer %g", name, ours, theirs)
		if ours-theirs > test.most+poolLosses {
			t.Errorf("%s: got %g allocations for net.Dialer's %g, want at most %g more", name, ours, theirs, test.most)
		}
	}
}

func allocs(t *testing.T, dial func(network, address string) (net.Conn, error), addr string) float64 {
	return testing.AllocsPerRun(100, func() {
		c, err := dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		release([]net.Conn{c})
	})
}
