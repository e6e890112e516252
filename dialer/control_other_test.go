//go:build !linux

package dialer_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
)

func TestControlFunctionsSayWhatTheSystemCannotDo(t *testing.T) {
	addr := echo(t, "127.0.0.1:0")
	for name, f := range map[string]dialer.ControlFunc{
		"UserTimeout(1s)":           dialer.UserTimeout(time.Second),
		"Mark(7)":                   dialer.Mark(7),
		`BindToDevice("lo")`:        dialer.BindToDevice("lo"),
		`CongestionControl("reno")`: dialer.CongestionControl("reno"),
	} {
		for way, socket := range sockets {
			_, err := socket(f, addr)
			if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s, %s: got %v, want errors.ErrUnsupported with the function's name", way, name, err)
			}
		}
	}
}
