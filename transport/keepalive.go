package transport

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// maxPeerTimeout bounds what a peer's word is taken for. undici's bound.
	maxPeerTimeout = 10 * time.Minute

	// peerMargin is how much earlier a connection is given up than its peer says
	// that it will be, at most half the time: a request that leaves then arrives
	// before the end. undici's margin.
	peerMargin = 2 * time.Second
)

// keepAlive is what an HTTP/1 peer says of a connection's future in a response's
// Keep-Alive field, which no standard has but most servers send that end idle
// connections soon: Keep-Alive: timeout=5, max=100.
type keepAlive struct {
	// idle is how long the connection may be idle and still be used, with the
	// margin taken off. Zero: the peer does not say.
	idle time.Duration

	// requests is how many more requests the connection takes, at least 1. Zero:
	// the peer does not say.
	requests int
}

// keepAliveOf reads a response's field. What makes no sense is not there, zero
// and negative numbers included; of several values the smallest counts.
func keepAliveOf(h http.Header) (k keepAlive) {
	for _, value := range h["Keep-Alive"] {
		for _, parameter := range strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ';' }) {
			name, text, _ := strings.Cut(parameter, "=")
			n, ok := wholeNumber(text)
			if !ok {
				continue
			}
			switch name = strings.TrimSpace(name); {
			case strings.EqualFold(name, "timeout"):
				k.idle = leastOf(k.idle, usableFor(n))
			case strings.EqualFold(name, "max"):
				k.requests = leastOf(k.requests, n)
			}
		}
	}
	return k
}

// wholeNumber reads a number above zero, in quotation marks or not. One too large
// to be held is the largest.
func wholeNumber(text string) (int, bool) {
	text = strings.Trim(text, " \t\"")
	for _, r := range text {
		if r < '0' || r > '9' {
			return 0, false // also a sign or a fraction
		}
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil && n != math.MaxInt32 { // it was empty
		return 0, false
	}
	return int(n), n > 0
}

// usableFor is how long a connection is used that ends after so many seconds.
func usableFor(seconds int) time.Duration {
	d := min(time.Duration(seconds)*time.Second, maxPeerTimeout)
	return d - min(peerMargin, d/2)
}

// leastOf is the smaller of two limits, of which zero is none.
func leastOf[T int | time.Duration](a, b T) T {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
