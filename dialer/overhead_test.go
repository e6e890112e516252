package dialer_test

import (
	"net"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
)

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
