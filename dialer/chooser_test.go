package dialer_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stayopen-go/stayopen/dialer"
)

// sourcesOf dials n times and holds the connections.
func sourcesOf(t *testing.T, ctx context.Context, d *dialer.Dialer, addr string, n int) []string {
	t.Helper()
	var got []string
	for range n {
		c, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		got = append(got, c.(*dialer.Conn).Source().String())
	}
	return got
}

func TestRoundRobinTakesTurns(t *testing.T) {
	addr := sink(t, "127.0.0.1:0")
	other := sink(t, "127.0.0.1:0")
	d := &dialer.Dialer{Sources: prefixes("127.1.0.1/32", "127.1.0.2/32", "127.1.0.3/32"), Chooser: new(dialer.RoundRobin)}
	got := sourcesOf(t, t.Context(), d, addr, 2)
	got = append(got, sourcesOf(t, t.Context(), d, other, 4)...)
	if want := []string{"127.1.0.1", "127.1.0.2", "127.1.0.3", "127.1.0.1", "127.1.0.2", "127.1.0.3"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRandomUsesEverySource(t *testing.T) {
	d := &dialer.Dialer{Sources: prefixes("127.1.0.1/32", "127.1.0.2/32", "127.1.0.3/32"), Chooser: dialer.Random{}}
	count := map[string]int{}
	for _, src := range sourcesOf(t, t.Context(), d, sink(t, "127.0.0.1:0"), 120) {
		count[src]++
	}
	for _, p := range d.Sources {
		if n := count[p.Addr().String()]; n < 15 || n > 80 { // 40 expected; these are some 5 sigma away
			t.Errorf("got %d of 120 from %v, want about 40", n, p)
		}
	}
}

func TestStickyKeyDecidesTheSource(t *testing.T) {
	addr, other := sink(t, "127.0.0.1:0"), sink(t, "127.0.0.1:0")
	all := prefixes("127.1.0.1/32", "127.1.0.2/32", "127.1.0.3/32", "127.1.0.4/32")
	d := &dialer.Dialer{Sources: all, Chooser: dialer.Sticky{}}
	fewer := &dialer.Dialer{Sources: all[:3], Chooser: dialer.Sticky{}}
	used := map[string]int{}
	for i := range 40 {
		ctx := dialer.WithStickyKey(t.Context(), fmt.Sprint("customer ", i))
		got := append(sourcesOf(t, ctx, d, addr, 2), sourcesOf(t, ctx, d, other, 1)...)
		if got[0] != got[1] || got[1] != got[2] {
			t.Errorf("key %d: got %q, want the same source always", i, got)
		}
		used[got[0]]++
		if moved := sourcesOf(t, ctx, fewer, addr, 1)[0]; moved != got[0] && got[0] != "127.1.0.4" {
			t.Errorf("key %d: got %s without 127.1.0.4 and %s with it, want no move that has no reason", i, moved, got[0])
		}
	}
	if len(used) != 4 {
		t.Errorf("got %v, want every source in use by 40 keys", used)
	}
	if got := sourcesOf(t, t.Context(), d, sink(t, "127.0.0.1:0"), 4); len(slices.Compact(slices.Sorted(slices.Values(got)))) != 4 {
		t.Errorf("without a key: got %q, want each source once, as by MostRoom", got)
	}
}

func TestStickyKeyDecidesTheAddressWithinALargePrefix(t *testing.T) {
	addr := sink(t, "127.0.0.1:0")
	d := &dialer.Dialer{Sources: prefixes("127.16.0.0/12"), Chooser: dialer.Sticky{}}
	seen := map[string]bool{}
	for i := range 20 {
		got := sourcesOf(t, dialer.WithStickyKey(t.Context(), fmt.Sprint(i)), d, addr, 3)
		if got[0] != got[1] || got[1] != got[2] {
			t.Errorf("got %q, want the same address always", got)
		}
		seen[got[0]] = true
	}
	if len(seen) < 19 {
		t.Errorf("got %d addresses for 20 keys, want nearly as many", len(seen))
	}
}

// fixed is somebody else's Chooser. It keeps what it was shown.
type fixed struct {
	index int
	mu    sync.Mutex
	shown []dialer.Budget
}

func (f *fixed) Choose(_ context.Context, _ netip.AddrPort, from []dialer.Budget) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shown = slices.Clone(from)
	return f.index
}

func TestUsersChooserSeesTheBudgetsAndDecides(t *testing.T) {
	addr := sink(t, "127.0.0.1:0")
	f := &fixed{index: 1}
	d := &dialer.Dialer{Sources: prefixes("127.1.0.1/32", "::1/128", "127.1.0.2/32"), Chooser: f}
	if got, want := sourcesOf(t, t.Context(), d, addr, 3), []string{"127.1.0.2", "127.1.0.2", "127.1.0.2"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(f.shown) != 2 || f.shown[0].Open != 0 || f.shown[1].Open != 2 || f.shown[1].Destination.String() != addr || f.shown[1].Room() != f.shown[0].Room()-2 {
		t.Errorf("the Chooser was shown %+v, want both IPv4 sources with what they have in use", f.shown)
	}
	for _, index := range []int{-1, 2} {
		f.index = index
		_, err := d.Dial("tcp", addr)
		if want := fmt.Sprintf("returned index %d, want one of 0 to 1", index); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "Chooser") {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

func TestPinnedDialComesFromItsSourceAndNoOther(t *testing.T) {
	addr := sink(t, "127.0.0.1:0")
	ctx := dialer.WithSource(t.Context(), netip.MustParseAddr("127.1.0.9"))
	for name, d := range map[string]*dialer.Dialer{
		"zero":    {},
		"Sources": {Sources: prefixes("127.1.0.1/32"), Chooser: dialer.Random{}},
	} {
		if got, want := sourcesOf(t, ctx, d, addr, 2), []string{"127.1.0.9", "127.1.0.9"}; !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
		_, err := d.DialContext(dialer.WithSource(t.Context(), netip.MustParseAddr("::1")), "tcp", addr)
		if !errors.Is(err, dialer.ErrNoSource) || !strings.Contains(err.Error(), "give WithSource an IPv4 address, not ::1") {
			t.Errorf("%s: pinned to the other family: got %v, want %v and what to do", name, err, dialer.ErrNoSource)
		}
		_, err = d.DialContext(dialer.WithSource(t.Context(), netip.MustParseAddr("192.0.2.9")), "tcp", addr)
		var e *dialer.SourceError
		if !errors.As(err, &e) || len(e.Sources) != 1 || e.Sources[0].String() != "192.0.2.9" || !strings.Contains(err.Error(), "given to WithSource") {
			t.Errorf("%s: pinned to an address that is not ours: got %v, want a *SourceError that names it", name, err)
		}
		for _, src := range []string{"0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255"} {
			c, err := d.DialContext(dialer.WithSource(t.Context(), netip.MustParseAddr(src)), "tcp", addr)
			if err == nil {
				c.Close()
			}
			if err == nil || !strings.Contains(err.Error(), "dialer: WithSource: "+src) {
				t.Errorf("%s: pinned to %s: got %v, want an error that says so: no connection can come from there", name, src, err)
			}
		}
	}
	off := dialer.WithSource(ctx, netip.Addr{})
	c, err := new(dialer.Dialer).DialContext(off, "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.LocalAddr().(*net.TCPAddr).IP.String(); got == "127.1.0.9" {
		t.Errorf("got %s after the pin was taken off", got)
	}
}

// A pointer to a type of ours is a Chooser as well, and must not be a lesser one.
func TestPointerToAChooserOfOursDoesWhatTheValueDoes(t *testing.T) {
	addr := sink(t, "127.0.0.1:0")
	large := prefixes("127.9.0.0/16") // of which the key chooses the address, too
	ctx := dialer.WithStickyKey(t.Context(), "a customer")
	want := sourcesOf(t, ctx, &dialer.Dialer{Sources: large, Chooser: dialer.Sticky{}}, addr, 1)[0]
	for _, got := range sourcesOf(t, ctx, &dialer.Dialer{Sources: large, Chooser: &dialer.Sticky{}}, addr, 5) {
		if got != want {
			t.Errorf("&Sticky{}: got %s, want %s as of Sticky{}", got, want)
		}
	}
	all := prefixes("127.1.0.1/32", "127.1.0.2/32", "127.1.0.3/32")
	for _, c := range []dialer.Chooser{dialer.MostRoom{}, &dialer.MostRoom{}, (*dialer.MostRoom)(nil)} {
		got := sourcesOf(t, t.Context(), &dialer.Dialer{Sources: all, Chooser: c}, sink(t, "127.0.0.1:0"), 6)
		for i := range 3 {
			if got[i] != got[i+3] || got[i] == got[(i+1)%3] {
				t.Errorf("%T: got %q, want equals to take turns", c, got)
				break
			}
		}
	}
}
