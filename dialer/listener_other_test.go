//go:build unix && !linux

package dialer_test

import (
	"testing"

	"github.com/stayopen-go/stayopen/dialer"
)

// wantKeepAlive is for systems whose option has another name.
func wantKeepAlive(*testing.T, *dialer.Conn, int) {}
