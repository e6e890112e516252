package transport

import (
	"math"
	"net/http"
	"testing"
	"time"
)

func TestKeepAliveFieldIsReadWithCare(t *testing.T) {
	ms := time.Millisecond
	for _, c := range []struct {
		values []string
		want   keepAlive
	}{
		{nil, keepAlive{}},
		{[]string{""}, keepAlive{}},
		{[]string{"timeout=5"}, keepAlive{idle: 3000 * ms}},              // Node.js
		{[]string{"timeout=5, max=100"}, keepAlive{3000 * ms, 100}},      // Apache
		{[]string{"max=1,timeout=15"}, keepAlive{13000 * ms, 1}},         //
		{[]string{` Timeout = "5" ; MAX="7" `}, keepAlive{3000 * ms, 7}}, // in other hands
		{[]string{"timeout=1"}, keepAlive{idle: 500 * ms}},               // half, where two seconds are too many
		{[]string{"timeout=2"}, keepAlive{idle: 1000 * ms}},
		{[]string{"timeout=4"}, keepAlive{idle: 2000 * ms}},
		{[]string{"timeout=602"}, keepAlive{idle: 598000 * ms}},
		{[]string{"timeout=4294967296"}, keepAlive{idle: 598000 * ms}},
		{[]string{"timeout=99999999999999999999999, max=99999999999999999999999"}, keepAlive{598000 * ms, math.MaxInt32}},
		{[]string{"timeout=0, max=0"}, keepAlive{}},
		{[]string{"timeout=-5, max=-1"}, keepAlive{}},
		{[]string{"timeout=+5, max=1e3"}, keepAlive{}},
		{[]string{"timeout=5.5, max=1_000, timeout=0x5"}, keepAlive{}},
		{[]string{"timeout=, max, =, ==, timeout==5"}, keepAlive{}},
		{[]string{"timeout=5s, max=٣"}, keepAlive{}},
		{[]string{"xtimeout=5, maximum=3, timeout 5, 115"}, keepAlive{}},
		{[]string{"close, timeout=junk, max=3"}, keepAlive{requests: 3}},
		{[]string{"timeout=60", "timeout=5, max=9", "timeout=30, max=8"}, keepAlive{3000 * ms, 8}},
	} {
		if got := keepAliveOf(http.Header{"Keep-Alive": c.values}); got != c.want {
			t.Errorf("%q: %+v, want %+v", c.values, got, c.want)
		}
	}
}

func FuzzKeepAlive(f *testing.F) {
	for _, value := range []string{"timeout=5, max=100", `timeout="60"; max=1`, "timeout=99999999999999999999", "timeout=-1"} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		k := keepAliveOf(http.Header{"Keep-Alive": {value}})
		if k.idle != 0 && (k.idle < time.Second/2 || k.idle > maxPeerTimeout-peerMargin) {
			t.Errorf("%q: idle for %v, want none or 0.5 s to 598 s", value, k.idle)
		}
		if k.requests < 0 || k.requests > math.MaxInt32 {
			t.Errorf("%q: %d requests", value, k.requests)
		}
		if again := keepAliveOf(http.Header{"Keep-Alive": {value, value}}); again != k {
			t.Errorf("%q said twice: %+v, want %+v", value, again, k)
		}
	})
}
