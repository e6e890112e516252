package hostcheck

import (
	"testing"
	"time"
)

// The times were measured on Linux 6.18, but for the last but one, which the kernel's
// documentation gives.
func TestTheTimeOfAConnectThatIsNotAnswered(t *testing.T) {
	for _, test := range []struct {
		linear, retries int64
		want            time.Duration
		sent            int64
	}{
		{0, 1, 3 * time.Second, 2},
		{1, 1, 4 * time.Second, 3},
		{2, 1, 3 * time.Second, 3},
		{4, 1, 3 * time.Second, 3},
		{0, 2, 7 * time.Second, 3},
		{1, 2, 8 * time.Second, 4},
		{2, 2, 9 * time.Second, 5},
		{4, 2, 7 * time.Second, 6},
		{0, 3, 15 * time.Second, 4},
		{2, 3, 17 * time.Second, 6},
		{4, 3, 19 * time.Second, 8},
		{4, 6, 131 * time.Second, 11},
		{0, 8, (127 + 240) * time.Second, 9},
	} {
		got, sent := unanswered(test.linear, test.retries)
		if got != test.want || sent != test.sent {
			t.Errorf("%d linear, %d retries: got %v and %d SYNs, want %v and %d", test.linear, test.retries, got, sent, test.want, test.sent)
		}
	}
}
