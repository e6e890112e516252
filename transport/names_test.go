package transport

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// fakeNames are names whose answers the test gives.
type fakeNames struct {
	*names
	asked [2]atomic.Int64 // by family
	mu    sync.Mutex      // guards what follows
	say   [2][]netip.Addr
	err   [2]error
}

func newFakeNames(interval time.Duration) *fakeNames {
	f := new(fakeNames)
	f.names = newNames(interval, func(ctx context.Context, network, host string) ([]netip.Addr, error) {
		i := 0
		if network == familyNetworks[1] {
			i = 1
		}
		f.asked[i].Add(1)
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.err[i] == nil && len(f.say[i]) == 0 {
			return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
		}
		return f.say[i], f.err[i]
	})
	return f
}

// answers sets what the name server says from now on.
func (f *fakeNames) answers(four, six []netip.Addr, err ...error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.say, f.err = [2][]netip.Addr{four, six}, [2]error{}
	copy(f.err[:], err)
}

// fakeConn is a connection that leaves when it is told to.
type fakeConn struct {
	watch       *watch
	taken, left atomic.Int64 // when, in Unix nanoseconds
}

func (c *fakeConn) takeLeave() { c.taken.Store(time.Now().UnixNano()) }

func (c *fakeConn) leave() {
	c.left.Store(time.Now().UnixNano())
	c.watch.remove(c)
}

func (f *fakeNames) dial(host string, addr netip.Addr) *fakeConn {
	c := new(fakeConn)
	c.watch = f.add(host, addr, c)
	return c
}

// pass lets d go by, in which the connections are used every second.
func pass(d time.Duration, conns ...*fakeConn) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		for _, c := range conns {
			c.watch.use()
		}
		<-time.After(time.Second)
	}
	synctest.Wait()
}

func inNames(t *testing.T, test func(t *testing.T, f *fakeNames)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeNames(0)
		defer f.close()
		test(t, f)
	})
}

func TestConnectionsToAnAddressThatIsGoneLeaveSpreadOut(t *testing.T) {
	inNames(t, func(t *testing.T, f *fakeNames) {
		f.answers(addrs(0), nil)
		var conns []*fakeConn
		for range 300 {
			conns = append(conns, f.dial("a.example", addrs(0)[0]))
		}
		pass(10*time.Minute, conns...)
		f.answers(addrs(1), nil)
		moved := time.Now()
		stays := f.dial("a.example", addrs(1)[0])
		pass(10*time.Minute, append(conns, stays)...)
		seconds := make(map[int64]int)
		first := int64(1 << 62)
		for _, c := range conns {
			taken, left := time.Unix(0, c.taken.Load()).Sub(moved), time.Unix(0, c.left.Load()).Sub(moved)
			// The last lookup that had the old address was up to 33 s before the move.
			if taken < 2*time.Minute-33*time.Second || taken > 3*time.Minute+30*time.Second {
				t.Fatalf("told that its address is gone %v after the move, want after 2 to 3 minutes", taken)
			}
			if left-taken < 15*time.Second || left-taken > 16*time.Second {
				t.Fatalf("had %v for a last exchange, want 15 s", left-taken)
			}
			first = min(first, c.taken.Load())
			seconds[int64(taken/time.Second)]++
		}
		for s, n := range seconds {
			if n > 40 {
				t.Errorf("%d of 300 left within second %d, want them spread over 30", n, s)
			}
		}
		t.Logf("the first left %v after the move, in %d different seconds", time.Unix(0, first).Sub(moved), len(seconds))
		if stays.taken.Load() != 0 {
			t.Error("a connection to the new address left")
		}
		if n := len(f.hosts["a.example"].conns); n != 1 {
			t.Errorf("%d connections are watched, want 1", n)
		}
	})
}

func TestAnAddressThatComesBackInTimeKeepsItsConnections(t *testing.T) {
	inNames(t, func(t *testing.T, f *fakeNames) {
		f.answers(addrs(0), nil)
		c := f.dial("a.example", addrs(0)[0])
		for range 20 {
			f.answers(addrs(1), nil)
			pass(80*time.Second, c)
			f.answers(addrs(0), nil)
			pass(80*time.Second, c)
		}
		if c.taken.Load() != 0 {
			t.Error("it left")
		}
	})
}

func TestLookupsThatFailTeachNothing(t *testing.T) {
	six := []netip.Addr{netip.MustParseAddr("2001:db8::1")}
	fails := errors.New("server misbehaving")
	for name, c := range map[string]struct {
		four, six []netip.Addr
		err       []error
		gone      bool
	}{
		"both fail":                   {nil, nil, []error{fails, fails}, false},
		"no such host":                {nil, nil, nil, false},
		"IPv4 fails, IPv6 does not":   {nil, six, []error{fails}, false},
		"no IPv4, IPv6 fails":         {nil, nil, []error{nil, fails}, false},
		"IPv6 alone":                  {nil, six, nil, true},
		"another one, and IPv6 fails": {addrs(1), nil, []error{nil, fails}, true},
		"temporarily not found": {nil, six, []error{&net.DNSError{
			Err: "server misbehaving", IsNotFound: true, IsTemporary: true}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			inNames(t, func(t *testing.T, f *fakeNames) {
				f.answers(addrs(0), nil)
				conn := f.dial("a.example", addrs(0)[0])
				pass(5*time.Minute, conn)
				f.answers(c.four, c.six, c.err...)
				pass(time.Hour, conn)
				if left := conn.left.Load() != 0; left != c.gone {
					t.Errorf("left: %v, want %v", left, c.gone)
				}
			})
		})
	}
}

func TestConnectionsOfOneFamilyDoNotSufferFromTheOther(t *testing.T) {
	inNames(t, func(t *testing.T, f *fakeNames) {
		old, young := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
		f.answers(addrs(0), []netip.Addr{old})
		four, six := f.dial("a.example", netip.MustParseAddr("::ffff:"+addrs(0)[0].String())), f.dial("a.example", old)
		pass(5*time.Minute, four, six)
		f.answers(addrs(0), []netip.Addr{young})
		pass(time.Hour, four, six)
		if four.left.Load() != 0 || six.left.Load() == 0 {
			t.Errorf("IPv4 left: %v, IPv6 left: %v, want only IPv6", four.left.Load() != 0, six.left.Load() != 0)
		}
	})
}

func TestNamesAreLookedUpOnlyWhileTheirConnectionsAreUsed(t *testing.T) {
	inNames(t, func(t *testing.T, f *fakeNames) {
		f.answers(addrs(0), nil)
		c := f.dial("a.example", addrs(0)[0])
		pass(time.Hour)
		if n := f.asked[0].Load(); n != 0 || c.watch.timer != nil {
			t.Errorf("%d lookups for a connection that is used once, timer %v, want none of either", n, c.watch.timer)
		}
		pass(time.Hour, c)
		n := f.asked[0].Load()
		if n < 110 || n > 130 {
			t.Errorf("%d lookups in an hour, want one in 30 s", n)
		}
		if n := f.asked[1].Load(); n != 0 {
			t.Errorf("%d lookups for IPv6, want none: there is no such connection", n)
		}
		pass(time.Hour)
		if after := f.asked[0].Load(); after > n+1 {
			t.Errorf("%d lookups after the last use, want 1 at most", after-n)
		}
		pass(time.Minute, c)
		c.watch.remove(c)
		n = f.asked[0].Load()
		pass(time.Hour, c)
		if after := f.asked[0].Load(); after != n || len(f.hosts) != 0 {
			t.Errorf("%d lookups, %d hosts without a connection, want none", after-n, len(f.hosts))
		}
	})
}

func TestOnlyNamesAreWatched(t *testing.T) {
	inNames(t, func(t *testing.T, f *fakeNames) {
		for _, host := range []string{"", "192.0.2.1", "2001:db8::1", "fe80::1%eth0"} {
			if f.dial(host, addrs(0)[0]).watch != nil {
				t.Errorf("%q is watched", host)
			}
		}
	})
	if newNames(-1, nil) != nil {
		t.Error("there are names with a negative interval")
	}
}

func TestClosingNamesEndsLookupsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended atomic.Int64
		n := newNames(0, func(ctx context.Context, _, _ string) ([]netip.Addr, error) {
			<-ctx.Done()
			<-time.After(time.Millisecond)
			ended.Add(1)
			return nil, ctx.Err()
		})
		var conns []*fakeConn
		for _, host := range []string{"a.example", "b.example"} {
			c := new(fakeConn)
			c.watch = n.add(host, addrs(0)[0], c)
			conns = append(conns, c)
		}
		pass(35*time.Second, conns...)
		conns[0].watch.remove(conns[0])
		pass(time.Second)
		if got := ended.Load(); got != 1 {
			t.Errorf("%d lookups ended, want that of the host without a connection", got)
		}
		n.close()
		if got := ended.Load(); got != 2 {
			t.Errorf("%d lookups had ended when close returned, want 2", got)
		}
		if n.add("c.example", addrs(0)[0], conns[0]) != nil {
			t.Error("a host is watched after close")
		}
	})
}
