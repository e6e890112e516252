package dialer

import (
	"fmt"
	"sync/atomic"
	"time"
)

// portSpace is the range that the kernel takes local ports from.
type portSpace struct {
	all      PortRange
	known    bool        // all is what the kernel said, not what it starts with
	reserved []PortRange // not to be taken; within all or not
	free     int         // the first port that an explicit bind needs no privileges for; 0 is not known
	read     time.Time
}

// size is how many ports the kernel can choose from for a socket with the option
// IP_LOCAL_PORT_RANGE, or with the zero range for one without it.
func (s *portSpace) size(r PortRange) int {
	r = s.narrowed(r)
	n := r.size()
	for _, res := range s.reserved {
		if both, ok := r.intersect(res); ok {
			n -= both.size()
		}
	}
	return n
}

// ignores reports whether the kernel is known to have the option and to ignore it
// when it is set to that range, because the two have nothing in common.
func (s *portSpace) ignores(r PortRange) bool {
	_, some := s.all.intersect(r)
	return s.known && !some && knowsPortRange()
}

// narrowed is what the option leaves of the range. One that has nothing in common
// with it is ignored by the kernel, as is every one where there is no such option.
func (s *portSpace) narrowed(r PortRange) PortRange {
	if r == (PortRange{}) || !narrowsPorts() {
		return s.all
	}
	if both, ok := s.all.intersect(r); ok {
		return both
	}
	return s.all
}

func (r PortRange) size() int { return int(r.Hi) - int(r.Lo) + 1 }

func (r PortRange) holds(p uint16) bool { return r.Lo <= p && p <= r.Hi }

func (r PortRange) intersect(o PortRange) (PortRange, bool) {
	both := PortRange{Lo: max(r.Lo, o.Lo), Hi: min(r.Hi, o.Hi)}
	return both, both.Lo <= both.Hi
}

// sizeOf is how many ports an account with these ranges has.
func (s *portSpace) sizeOf(r, explicit PortRange) int {
	if explicit != (PortRange{}) {
		return explicit.size()
	}
	return s.size(r)
}

// spaceLife is how long a reading of the kernel's settings is believed.
const spaceLife = 5 * time.Second

var spaceCache atomic.Pointer[portSpace]

// ephemeralPorts is the range, as the kernel said in the last seconds.
func ephemeralPorts() *portSpace {
	if s := spaceCache.Load(); s != nil && time.Since(s.read) <= spaceLife {
		return s
	}
	s := readPortSpace()
	s.read = time.Now()
	spaceCache.Store(&s)
	return &s
}

// String writes the range as 32768-60999.
func (r PortRange) String() string { return fmt.Sprintf("%d-%d", r.Lo, r.Hi) }
