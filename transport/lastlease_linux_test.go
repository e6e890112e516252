package transport_test

import (
	"net/http"
	"testing"

	"github.com/stayopen-go/stayopen/transport"
)

// A connection that has served as many requests as it may is closed by whom its
// last request told so.
func TestConnectionsThatTakeAHundredRequestsLeaveNoTimeWait(t *testing.T) {
	const requests, each = 2000, 100
	inCloseLab(t, func(t *testing.T, urls [2]string) {
		for i, mode := range []string{"plain", "TLS"} {
			for _, workers := range []int{1, 20} {
				m := newMeter(t)
				tr := newTransport(t, transport.Config{Template: closeTemplate(), MaxRequestsPerConn: each, MeterProvider: m.provider})
				before := timeWaits(t)
				inParallel(t, workers, requests, func(int) error { return closeGet(&http.Client{Transport: tr}, urls[i]+"/") })
				awaitCounted(t, tr)
				awaitFins(t)
				left, st, closes := timeWaits(t)-before, tr.Stats(), m.closes(t)
				t.Logf("%s, %d at once: %d requests, %d connections, closed: %v, %d TIME_WAITs", mode, workers, requests, st.Opened, closes, left)
				if left != 0 || st.TimeWaits != 0 {
					t.Errorf("%s, %d at once: %d TIME_WAITs in the kernel, %d in Stats, want none", mode, workers, left, st.TimeWaits)
				}
				if n := closes["max_leases peer"]; mode == "plain" && (n == 0 || n != int64(st.Closed)) {
					t.Errorf("%s, %d at once: closes counted: %v, want all by the peer", mode, workers, closes)
				}
				if workers == 1 && st.Closed != requests/each {
					t.Errorf("%s: %d connections closed for %d requests, want %d", mode, st.Closed, requests, requests/each)
				}
			}
		}
	})
}
