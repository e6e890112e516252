package dialer_test

import (
	"context"
	"errors"
	"math"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
)

// sockets makes a socket with the control function in each way that there is.
var sockets = map[string]func(f dialer.ControlFunc, addr string) (net.Conn, error){
	"Dialer": func(f dialer.ControlFunc, addr string) (net.Conn, error) {
		return (&dialer.Dialer{Control: f}).Dial("tcp", addr)
	},
	"net.Dialer": func(f dialer.ControlFunc, addr string) (net.Conn, error) {
		return (&net.Dialer{Control: f}).Dial("tcp", addr)
	},
	"ListenConfig": func(f dialer.ControlFunc, _ string) (net.Conn, error) {
		l, err := (&dialer.ListenConfig{Control: f}).Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err == nil {
			err = l.Close()
		}
		return nil, err
	},
}

func TestBadValuesOfControlFunctionsFailTheDial(t *testing.T) {
	addr := echo(t, "127.0.0.1:0")
	for name, f := range map[string]dialer.ControlFunc{
		"UserTimeout(-1ms)":                     dialer.UserTimeout(-time.Millisecond),
		"UserTimeout(597h":                      dialer.UserTimeout(597 * time.Hour),
		"UserTimeout(2562047h47m16":             dialer.UserTimeout(math.MaxInt64),
		`BindToDevice("")`:                      dialer.BindToDevice(""),
		`BindToDevice("sixteen-letters-")`:      dialer.BindToDevice("sixteen-letters-"),
		`BindToDevice("lo\x00")`:                dialer.BindToDevice("lo\x00"),
		`CongestionControl("")`:                 dialer.CongestionControl(""),
		`CongestionControl("sixteen-letters-")`: dialer.CongestionControl("sixteen-letters-"),
	} {
		for way, socket := range sockets {
			_, err := socket(dialer.Controls(f), addr)
			if err == nil || !strings.Contains(err.Error(), "dialer: "+name) || !strings.Contains(err.Error(), "must be") {
				t.Errorf("%s, %s: got %v, want an error that names the function and says what the value must be", way, name, err)
			}
		}
	}
}

func TestControlsRunInOrderUpToTheFirstError(t *testing.T) {
	addr := echo(t, "127.0.0.1:0")
	var ran []int
	refusal := errors.New("refused")
	step := func(n int, err error) dialer.ControlFunc {
		return func(network, address string, c syscall.RawConn) error {
			if network != "tcp4" || address != addr || c == nil {
				t.Errorf("got %s, %s, %v, want what net hands over", network, address, c)
			}
			ran = append(ran, n)
			return err
		}
	}
	dial(t, &dialer.Dialer{Control: dialer.Controls(step(1, nil), nil, dialer.Controls(step(2, nil), step(3, nil)), step(4, nil))}, addr)
	if want := []int{1, 2, 3, 4}; !slices.Equal(ran, want) {
		t.Errorf("got the order %v, want %v", ran, want)
	}
	ran = nil
	_, err := (&dialer.Dialer{Control: dialer.Controls(step(1, nil), step(2, refusal), step(3, nil))}).Dial("tcp", addr)
	if want := []int{1, 2}; !slices.Equal(ran, want) || !errors.Is(err, refusal) {
		t.Errorf("got %v and %v, want %v and %v", ran, err, want, refusal)
	}
	dial(t, &dialer.Dialer{Control: dialer.Controls()}, addr)
}
