// Package httputil provides what net/http/httputil's tests take from inside the
// package. Each name stands in for the one there that begins with a small
// letter.
package httputil

import (
	"net/http"
	"strings"
)

// UpgradeType is the protocol that a header asks to change to, or "".
func UpgradeType(h http.Header) string {
	for _, line := range h.Values("Connection") {
		for token := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(token), "Upgrade") {
				return h.Get("Upgrade")
			}
		}
	}
	return ""
}

// NeverEnding is an io.Reader of this byte without end.
type NeverEnding byte

func (b NeverEnding) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(b)
	}
	return len(p), nil
}
