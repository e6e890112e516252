package shadow_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// load is what the model of http.DefaultTransport is held against.
type load struct {
	name  string
	mode  string // of the server
	burst bool
	send  sender
	// far is how far the estimate may be from real runs; zero: what is said below.
	far float64
}

var loads = []load{
	{name: "bursts", mode: "h1", burst: true, send: bursts(8, 120, 1, 5*time.Millisecond)},
	{name: "bursts over TLS", mode: "https1", burst: true, send: bursts(5, 30, 1, 5*time.Millisecond)},
	{name: "bursts over HTTP2", mode: "h2", burst: true, send: bursts(5, 80, 20, time.Millisecond)},
	// Answers that take no time, on a machine whose processors they saturate:
	// http.DefaultTransport's dials then slow it down further, and begin so
	// late that some are not needed any more. A model of its pool knows
	// nothing of that.
	{name: "bursts of nothing", mode: "h1", burst: true, send: bursts(8, 120, 1, 0), far: 0.10},
	{name: "arrivals", mode: "h1", send: arrivals(600, 500*time.Millisecond, 1, 10*time.Millisecond)},
	{name: "arrivals at many hosts", mode: "h1", send: arrivals(1000, 500*time.Millisecond, 120, 5*time.Millisecond)},
	{name: "visits", mode: "h1", send: visits(24, 40, 2, 5*time.Millisecond, 5*time.Millisecond)},
}

const (
	inBursts = 0.03 // how far a burst's estimate may be from real runs
	inSteady = 0.10 // by how much the range of real runs of a steady load is widened
	// inOthers is the same for a burst that was sent through something else: it
	// was another run, in which fewer requests may have been open at once.
	inOthers = 0.10
)

// TestTheModelOfTheDefaultTransportOpensWhatARealOneOpens compares the model with
// real runs twice: over the real one, for the same run, and over stayopen, for
// five other runs of the same load.
func TestTheModelOfTheDefaultTransportOpensWhatARealOneOpens(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	for _, l := range loads {
		t.Run(l.name, func(t *testing.T) {
			// The machine's other work changes a run, and not every run alike.
			const tries = 3
			for try := 1; ; try++ {
				wrong := l.compare(t)
				if len(wrong) == 0 {
					return
				}
				t.Logf("try %d of %d: %s", try, tries, strings.Join(wrong, "; "))
				if try == tries {
					t.Fatal("the model is wrong in every try")
				}
			}
		})
	}
}

// compare returns what is wrong with the estimates of five runs.
func (l load) compare(t *testing.T) (wrong []string) {
	var real, same, over, stayopen, stayopens []float64
	for range 5 {
		opened, estimated, better := l.overDefault(t)
		real, same, stayopens = append(real, opened), append(same, estimated/opened), append(stayopens, better)
		opened, estimated = l.overStayOpen(t)
		over, stayopen = append(over, estimated), append(stayopen, opened)
	}
	low, middle, high := spread(real)
	t.Logf("opened by a real one: %v; the model of it: %.3f of that in the same runs, %v over stayopen; stayopen opened %v, its model %v", real, same, over, stayopen, stayopens)
	near := inSteady
	if l.burst {
		near = max(inBursts, l.far)
		low, high = middle, middle
	}
	if _, got, _ := spread(same); math.Abs(got-1) > near {
		wrong = append(wrong, fmt.Sprintf("over http.DefaultTransport the model opened %.3f of what that opened in the same runs, want 1 ± %.2f", same, near))
	}
	near = max(near, inOthers)
	if _, got, _ := spread(over); got < low*(1-near) || got > high*(1+near) {
		wrong = append(wrong, fmt.Sprintf("over stayopen the model opened %v, want %v to %v, less and more %.0f %%: real runs opened %v", over, low, high, near*100, real))
	}
	return wrong
}

func spread(values []float64) (low, middle, high float64) {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[0], sorted[len(sorted)/2], sorted[len(sorted)-1]
}

func (l load) scheme() string {
	if l.mode == "h1" {
		return "http"
	}
	return "https"
}

// overDefault runs the load over a real transport with the default pool. It
// returns what that one opened, and the estimates for it and for stayopen.
func (l load) overDefault(t *testing.T) (opened, estimated, stayopen float64) {
	s := serve(t, l.mode, waiting)
	defer s.Close()
	base := s.likeDefault(t)
	defer base.CloseIdleConnections()
	sh := watch(t, base)
	l.send(t, sh, l.scheme())
	stats := settled(t, s, sh)
	return float64(stats.Opened), float64(stats.Default.Opened), float64(stats.StayOpen.Opened)
}

// overStayOpen runs the load over stayopen. It returns what that opened, and the
// estimate for the default transport.
func (l load) overStayOpen(t *testing.T) (opened, estimated float64) {
	s := serve(t, l.mode, waiting)
	defer s.Close()
	base := s.stayOpen(t)
	defer base.Close()
	sh := watch(t, base)
	l.send(t, sh, l.scheme())
	return float64(s.accepts.Load()), float64(sh.Stats().Default.Opened)
}
