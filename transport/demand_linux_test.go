package transport_test

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/internal/netlab"
	"github.com/stayopen-go/stayopen/transport"
)

// size is what a transport takes at some moment.
type size struct {
	open, goroutines int
	heap             uint64
}

func sizeOf(tr *transport.Transport) size {
	runtime.GC()
	runtime.GC() // what the first one's finalizers let go of
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return size{tr.Stats().Open, runtime.NumGoroutine(), m.HeapAlloc}
}

// Demand is for 5 connections, then for 200, then for 5 again, while more than half
// of the ports are in use by somebody else.
func TestConnectionsBeyondDemandAreClosedLittleByLittleAndLeaveNothing(t *testing.T) {
	inCloseLab(t, func(t *testing.T, urls [2]string) {
		const low, high, ports = 5, 200, 500
		d := &dialer.Dialer{
			Sources:   []netip.Prefix{netip.PrefixFrom(netlab.ClientAddr, 32)},
			PortRange: dialer.PortRange{Lo: 20100, Hi: 20100 + ports - 1},
		}
		defer holdPorts(t, d, urls[0], ports/2+10)()
		tr := newTransport(t, transport.Config{Template: closeTemplate(), Dialer: d, MaxIdleConns: -1, IdleWindow: 500 * time.Millisecond})
		demand := func(n int, until func() bool) {
			var workers sync.WaitGroup
			c := &http.Client{Transport: tr}
			for range n {
				workers.Go(func() {
					for !until() {
						if err := closeGet(c, urls[0]+"/slow"); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			workers.Wait()
		}
		lasting := func(d time.Duration) func() bool {
			end := time.Now().Add(d)
			return func() bool { return time.Now().After(end) }
		}
		before := timeWaits(t)
		demand(low, lasting(500*time.Millisecond))
		first := sizeOf(tr)
		demand(high, lasting(time.Second))
		peak := sizeOf(tr)
		var falls []int // how many were closed in each tenth of a second
		done := make(chan struct{})
		var watch sync.WaitGroup
		watch.Go(func() { falls = watchFalls(tr, done) })
		demand(low, func() bool { return tr.Stats().Open <= first.open+low || t.Context().Err() != nil })
		close(done)
		watch.Wait()
		awaitCounted(t, tr)
		awaitFins(t)
		last, left := sizeOf(tr), timeWaits(t)-before
		t.Log(demandTable(first, peak, last, falls, left))

		most, moments := 0, 0
		for _, n := range falls {
			most = max(most, n)
			if n > 0 {
				moments++
			}
		}
		if peak.open < high/3 {
			t.Errorf("%d connections at most, want %d and more: the run is void", peak.open, high/3)
		}
		if most > peak.open/2 || moments < 5 {
			t.Errorf("%d of %d closed at once, at %d moments, want half at most, at 5 moments at least", most, peak.open, moments)
		}
		if left != 0 || tr.Stats().TimeWaits != 0 {
			t.Errorf("%d TIME_WAITs in the kernel, %d in Stats, want none while ports are short", left, tr.Stats().TimeWaits)
		}
		if grown := int64(last.heap) - int64(first.heap); grown > (int64(peak.heap)-int64(first.heap))/3 {
			t.Errorf("the heap is %d bytes larger than before, want at most a third of what it was larger at the peak, %d", grown, peak.heap-first.heap)
		}
		if last.goroutines > first.goroutines+4*low {
			t.Errorf("%d goroutines, want about the %d of before", last.goroutines, first.goroutines)
		}
	})
}

// watchFalls counts the closes in each tenth of a second.
func watchFalls(tr *transport.Transport, done <-chan struct{}) (falls []int) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for closed := tr.Stats().Closed; ; {
		select {
		case <-tick.C:
		case <-done:
			return falls
		}
		now := tr.Stats().Closed
		falls = append(falls, int(now-closed))
		closed = now
	}
}

func demandTable(first, peak, last size, falls []int, left int) string {
	var table strings.Builder
	fmt.Fprintf(&table, "\n%-10s %8s %12s %10s\n", "demand", "open", "goroutines", "heap, kB")
	for _, row := range []struct {
		name string
		size
	}{{"5", first}, {"200", peak}, {"5 again", last}} {
		fmt.Fprintf(&table, "%-10s %8d %12d %10d\n", row.name, row.open, row.goroutines, row.heap>>10)
	}
	fmt.Fprintf(&table, "closed in each tenth of a second: %v; TIME_WAITs: %d", falls, left)
	return table.String()
}

// holdPorts opens n connections to the server, to be closed by the function that it
// returns.
func holdPorts(t *testing.T, d *dialer.Dialer, rawURL string, n int) func() {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	var held []net.Conn
	for range n {
		c, err := d.DialContext(t.Context(), "tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	return func() {
		for _, c := range held {
			c.(*dialer.Conn).Reset()
		}
	}
}
