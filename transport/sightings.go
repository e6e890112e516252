package transport

import (
	"net/netip"
	"time"
)

const (
	// goneLookups and goneAfter are how many answers in a row, and for how long,
	// an address has to be missing from to be gone.
	goneLookups = 4
	goneAfter   = 2 * time.Minute

	// maxAddresses bounds what is remembered of one name. One that has shown more
	// addresses than that, as those of large content networks do, is past telling.
	maxAddresses = 256

	// remembered is for how long an address is known at least that is gone: if it
	// comes back within that time it had not been.
	remembered = time.Hour
)

// sightings are a name's addresses of one family that answers have shown.
//
// Many names have more addresses than one answer shows, and show them in turn.
// That an address is missing then says nothing until the others have had theirs.
// So each round of different addresses adds to the patience, as does an address
// that comes back. An answer that stays the same is soon believed.
type sightings struct {
	goneAfter time.Duration // the constant
	step      time.Duration // at most so long before an answer the last one is taken to have been

	all     map[netip.Addr]sighting
	size    int           // of the last answer that was not empty
	absence time.Duration // the longest after which an address came back
}

// sighting is what the last answers have said of an address.
type sighting struct {
	seen   time.Time // when it was last in one
	missed int       // from how many since then it was missing
	since  time.Time // from when on, if it was
}

// see notes that an answer had the address, of which nothing else is known.
func (s *sightings) see(now time.Time, addr netip.Addr) {
	g, known := s.all[addr]
	if !known && len(s.all) >= maxAddresses {
		return
	}
	if g.missed > 0 {
		s.absence = max(s.absence, now.Sub(g.since))
	}
	if s.all == nil {
		s.all = make(map[netip.Addr]sighting)
	}
	s.all[addr] = sighting{seen: now}
}

// answer takes in all addresses of an answer, which may be none.
func (s *sightings) answer(now time.Time, addrs []netip.Addr) {
	if len(addrs) > 0 {
		s.size = len(addrs)
	}
	for _, addr := range addrs {
		s.see(now, addr)
	}
	lookups, patience := s.patience()
	for addr, g := range s.all {
		if g.seen.Equal(now) {
			continue
		}
		if g.missed == 0 {
			g.since = g.seen
			if before := now.Add(-s.step); g.since.Before(before) {
				g.since = before // nobody asked in between
			}
		}
		g.missed++
		s.all[addr] = g
		if g.missed >= 2*lookups && now.Sub(g.since) >= max(2*patience, remembered) {
			delete(s.all, addr)
		}
	}
}

// patience is how many answers in a row, and for how long, an address may be
// missing from and not be gone.
func (s *sightings) patience() (lookups int, d time.Duration) {
	turns := 1
	if s.size > 0 {
		turns = max(1, (len(s.all)-1)/s.size) // the rounds but for the address's own
	}
	return goneLookups * turns, max(s.goneAfter*time.Duration(turns), 2*s.absence)
}

// gone reports whether the name does not have the address any more.
func (s *sightings) gone(now time.Time, addr netip.Addr) bool {
	if len(s.all) >= maxAddresses {
		return false
	}
	lookups, patience := s.patience()
	g := s.all[addr]
	return g.missed >= lookups && now.Sub(g.since) >= patience
}
