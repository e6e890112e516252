package dialer

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// interfaceLife is how long a reading of an interface's addresses is believed,
// unless a dial finds one of them gone.
const interfaceLife = time.Second

// interfaceAddrs are the addresses of interfaces, as read lately. They are the
// host's, so all Dialers share them.
var interfaceAddrs interfaceCache

type interfaceCache struct {
	mu     sync.Mutex // not held while the system is asked
	byName map[string]interfaceReading
}

type interfaceReading struct {
	addrs sources
	err   error
	at    time.Time
}

// sources returns the global unicast addresses of the interfaces. The error is
// that of the last one that could not be asked; the addresses of the others are
// good all the same.
func (c *interfaceCache) sources(names []string) (all sources, err error) {
	for _, name := range names {
		r := c.read(name)
		all = append(all, r.addrs...)
		if r.err != nil {
			err = r.err
		}
	}
	return all, err
}

func (c *interfaceCache) read(name string) interfaceReading {
	c.mu.Lock()
	r, ok := c.byName[name]
	c.mu.Unlock()
	if ok && time.Since(r.at) < interfaceLife {
		return r
	}
	before := r
	if r = readInterface(name); isFileLimit(r.err) {
		// Which says nothing about the interface.
		if ok && before.err == nil {
			return before
		}
		return r
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byName == nil {
		c.byName = make(map[string]interfaceReading)
	}
	c.byName[name] = r
	return r
}

// forget has the addresses read anew, because one of them is not there any more.
func (c *interfaceCache) forget(src netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, r := range c.byName {
		if r.addrs.contain(src) {
			delete(c.byName, name)
		}
	}
}

// readInterface asks the system.
func readInterface(name string) interfaceReading {
	r := interfaceReading{at: time.Now()}
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		r.err = fmt.Errorf("interface %q: %w", name, err)
		return r
	}
	addrs, err := ifi.Addrs()
	if err != nil {
		r.err = fmt.Errorf("interface %q: %w", name, err)
		return r
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
		if p := netip.PrefixFrom(addr, addr.BitLen()); !slices.Contains(r.addrs, p) {
			r.addrs = append(r.addrs, p)
		}
	}
	return r
}

// usable reports whether an interface's address is a source: global unicast,
// private ones included, or loopback on the loopback interface.
func usable(a netip.Addr) bool { return a.IsGlobalUnicast() || a.IsLoopback() }
