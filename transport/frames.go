package transport

const (
	frameHeader = 9    // bytes in front of every frame: length in the first three, type in the fourth (RFC 9113, section 4.1)
	goAwayType  = 0x07 // section 6.8
)

// frames watches what an HTTP/2 peer sends for two moments of which net/http
// tells nothing: the end of the first frame, which is its SETTINGS (section
// 3.4), since only then is it known how many streams it allows; and a GOAWAY,
// after which it allows no more.
type frames struct {
	head [frameHeader]byte
	got  int // bytes of head that are here
	left int // bytes of the payload still to come

	settled, goAway bool
}

// add takes in what has been read.
func (f *frames) add(p []byte) {
	for len(p) > 0 {
		if f.got < frameHeader {
			n := copy(f.head[f.got:], p)
			f.got += n
			p = p[n:]
			if f.got < frameHeader {
				return
			}
			f.left = int(f.head[0])<<16 | int(f.head[1])<<8 | int(f.head[2])
		}
		n := min(f.left, len(p))
		f.left -= n
		p = p[n:]
		if f.left == 0 {
			f.got = 0
			f.settled = true
			f.goAway = f.goAway || f.head[3] == goAwayType
		}
	}
}
