//go:build !linux

package dialer

import "net/netip"

// watched is the flight if the kernel can be asked about it.
func watched(*flight) *flight { return nil }

func unanswered(int) bool { return false }

// localRoutes are nothing here, as nobody can be asked.
type localRoutes struct{}

func (*localRoutes) whereabouts(int, netip.Addr, bool) (netip.Prefix, bool) {
	return netip.Prefix{}, false
}

func hangUp(int) {}
