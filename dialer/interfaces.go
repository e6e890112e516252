package dialer

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// interfaceLife is how long a reading of an interface's addresses is believed
	// by a dial that can do with it.
	interfaceLife = time.Second
	// urgentLife is how long one is believed by those that cannot, once an urgent
	// reading has been made: that many dials fail must not become that the system
	// is asked as often.
	urgentLife = 20 * time.Millisecond
)

// interfaceAddrs are the addresses of interfaces, as read lately. They are the
// host's, so all Dialers share them.
var interfaceAddrs interfaceCache

type interfaceCache struct {
	mu     sync.Mutex // not held while the system is asked
	byName map[string]*interfaceReading
}

// interfaceReading is one look at an interface.
type interfaceReading struct {
	at     time.Time               // when it was begun
	urgent bool                    // it was made before the one before it was old
	stale  bool                    // one of the addresses was found gone since; guarded by the cache's mutex
	addrs  func() (sources, error) // asks the system, once
}

// sources returns the global unicast addresses of the interfaces. The error is
// that of the last one that could not be asked; the addresses of the others are
// good all the same. It is urgent for who fails with what was read before.
func (c *interfaceCache) sources(names []string, urgent bool) (all sources, err error) {
	for _, name := range names {
		addrs, nameErr := c.read(name, urgent)
		all = append(all, addrs...)
		if nameErr != nil {
			err = nameErr
		}
	}
	return all, err
}

func (c *interfaceCache) read(name string, urgent bool) (sources, error) {
	r, before := c.reading(name, urgent)
	addrs, err := r.addrs()
	if !isFileLimit(err) {
		return addrs, err
	}
	// Which says nothing about the interface.
	var known sources
	unknown := err
	if before != nil {
		known, unknown = before.addrs()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	current := c.byName[name] == r
	switch {
	case unknown == nil && current:
		c.byName[name] = before
	case current:
		delete(c.byName, name)
	}
	if unknown == nil {
		return known, nil
	}
	return addrs, err
}

// reading is the last one of the interface, or a new one if that is too old; then
// it comes with the one before, nil if there was none. Those who come while the
// system is being asked wait for the same answer.
func (c *interfaceCache) reading(name string, urgent bool) (r, before *interfaceReading) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r = c.byName[name]
	urgent = r != nil && (urgent || r.stale)
	if r != nil && !r.old(urgent) {
		return r, nil
	}
	before = r
	r = &interfaceReading{at: time.Now(), urgent: urgent, addrs: sync.OnceValues(func() (sources, error) { return readInterface(name) })}
	if c.byName == nil {
		c.byName = make(map[string]*interfaceReading)
	}
	c.byName[name] = r
	return r, before
}

// old reports whether it is time for another reading.
func (r *interfaceReading) old(urgent bool) bool {
	age := time.Since(r.at)
	return age >= interfaceLife || urgent && (!r.urgent || age >= urgentLife)
}

// forget has the addresses read anew, because one of them is not there any more.
func (c *interfaceCache) forget(src netip.Addr) {
	c.mu.Lock()
	all := slices.Collect(maps.Values(c.byName))
	c.mu.Unlock()
	all = slices.DeleteFunc(all, func(r *interfaceReading) bool {
		addrs, _ := r.addrs() // which may have to be waited for
		return !addrs.contain(src)
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range all {
		r.stale = true
	}
}

// readInterface asks the system.
func readInterface(name string) (all sources, err error) {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("interface %q: %w", name, err)
	}
	addrs, err := ifi.Addrs()
	if err != nil {
		return nil, fmt.Errorf("interface %q: %w", name, err)
	}
	for _, a := range addrs {
		ipn, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		addr, ok := netip.AddrFromSlice(ipn.IP)
		if addr = addr.Unmap(); !ok || !usable(addr) {
			continue
		}
		if p := netip.PrefixFrom(addr, addr.BitLen()); !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all, nil
}

// usable reports whether an interface's address is a source: global unicast,
// private ones included, or loopback on the loopback interface.
func usable(a netip.Addr) bool { return a.IsGlobalUnicast() || a.IsLoopback() }
