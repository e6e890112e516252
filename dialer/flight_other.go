//go:build !linux

package dialer

import "net/netip"

// watched is the flight if the kernel can be asked about it.
func watched(*flight) *flight { return nil }

func unanswered(int) bool { return false }

func whereabouts(int, netip.Addr, bool, bool) (netip.Prefix, bool) { return netip.Prefix{}, false }

func hangUp(int) {}
