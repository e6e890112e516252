// Package httptest provides what net/http/httptest's tests take from inside the
// package. Each name stands in for the one there that begins with a small
// letter.
package httptest

import (
	"fmt"
	"net"
)

// NewLocalListener listens on some port of the loopback interface.
func NewLocalListener() net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(fmt.Sprintf("gosuite: no listener on the loopback interface: %v", err))
	}
	return l
}
