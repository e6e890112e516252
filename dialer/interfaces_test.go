package dialer

import (
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// Whatever the number of dials that fail, the system is not asked more often than
// once in urgentLife.
func TestInterfacesAreReadAgainOnceForManyDialsThatFail(t *testing.T) {
	name := loopbackInterface(t)
	synctest.Test(t, func(t *testing.T) {
		var c interfaceCache
		read := func(urgent bool) *interfaceReading {
			t.Helper()
			r, _ := c.reading(name, urgent)
			if _, err := r.addrs(); err != nil {
				t.Fatal(err)
			}
			return r
		}
		first := read(false)
		if read(false) != first {
			t.Error("got a second reading at once, want the first believed")
		}
		second := read(true)
		if second == first {
			t.Error("got what was read before for a dial that fails with it, want another reading")
		}
		loopback := netip.MustParseAddr("127.0.0.1")
		for range 100 {
			c.forget(loopback)
			if read(true) != second || read(false) != second {
				t.Fatal("got another reading at once, want them spared")
			}
		}
		<-time.After(urgentLife)
		third := read(false)
		if third == second {
			t.Error("got an old reading, want another: an address was found gone")
		}
		<-time.After(urgentLife)
		if read(false) != third {
			t.Error("got another reading, want the last one believed: nobody has failed with it")
		}
		if read(true) == third {
			t.Errorf("got the last reading after %v for a dial that fails with it, want another", urgentLife)
		}
		<-time.After(interfaceLife)
		old := read(false)
		if old.urgent {
			t.Error("got a reading that was urgent, want it an ordinary one after a second")
		}
	})
}

// loopbackInterface is the name that the system has for it.
func loopbackInterface(t *testing.T) string {
	t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, ifi := range all {
		if ifi.Flags&net.FlagLoopback != 0 {
			return ifi.Name
		}
	}
	t.Fatalf("got %v, want a loopback interface among them", all)
	return ""
}
