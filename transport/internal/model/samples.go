package model

import "time"

// maxSamples is of how many dials it is remembered how long they took: more than
// run at once for a key, of which those that end last are those that take longest.
const maxSamples = 64

// samples are the durations that were seen last, from which what follows the same
// distribution is taken. A mean would not do, since of several dials it is the
// shortest that serves who waits longest.
type samples struct {
	seen   []time.Duration
	oldest int // if there are as many as may be
	taken  uint32
}

func (s *samples) add(d time.Duration) {
	if len(s.seen) < maxSamples {
		s.seen = append(s.seen, d)
		return
	}
	s.seen[s.oldest] = d
	s.oldest = (s.oldest + 1) % maxSamples
}

// take returns one of them; false: there is none. It strides through them by the
// golden section, for those that were seen one after the other are too much alike:
// of dials that begin together the shortest are seen first. The same is taken at
// every run.
func (s *samples) take() (time.Duration, bool) {
	if len(s.seen) == 0 {
		return 0, false
	}
	s.taken += 0x9e3779b9 // of 1<<32
	return s.seen[uint64(s.taken)*uint64(len(s.seen))>>32], true
}
