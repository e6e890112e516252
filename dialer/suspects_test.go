package dialer

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func TestSuspectsAreWholePrefixesForAWhile(t *testing.T) {
	if !bindsAnyAddress {
		return // there are none
	}
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		from := list("2001:db8:5::/64", "2001:db8:6::/64", "2001:db8::1/128")
		isSuspect := func(addr string) bool {
			now := l.lock()
			defer l.mu.Unlock()
			return l.suspectLocked(from, netip.MustParseAddr(addr), now)
		}
		if isSuspect("2001:db8:5::9") {
			t.Error("got a suspect at first, want none")
		}
		l.suspect(from, netip.MustParseAddr("2001:db8:5::1"))
		l.suspect(from, netip.MustParseAddr("2001:db8::1"))
		<-time.After(suspectFor - 1)
		for addr, want := range map[string]bool{"2001:db8:5::9": true, "2001:db8:6::9": false, "2001:db8::1": false} {
			if got := isSuspect(addr); got != want {
				t.Errorf("%s: got suspect %v, want %v", addr, got, want)
			}
		}
		<-time.After(1)
		if isSuspect("2001:db8:5::9") || len(l.suspects) != 0 {
			t.Errorf("after %v: got suspects %v, want none", suspectFor, l.suspects)
		}
	})
}
