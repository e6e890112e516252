package dialer_test

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"github.com/stayopen-go/stayopen/dialer"
)

func TestHandOverIsUnsupported(t *testing.T) {
	l := open(t, dialer.ListenConfig{}, "tcp4", "127.0.0.1:0")
	if err := dialer.HandOver(exec.Command(os.Args[0]), l); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v, want errors.ErrUnsupported", err)
	}
	if all, err := (&dialer.ListenConfig{}).Inherited(); len(all) > 0 || err != nil {
		t.Errorf("with nothing passed: got %v, %v, want nothing", all, err)
	}
}
