package hostcheck

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stayopen-go/stayopen/internal/netlab"
)

func TestTheKernelAcceptsWhatItIsSaidTo(t *testing.T) {
	if !netlab.Inside() {
		lab := netlab.New(t)
		lab.Rerun(t, lab.Client)
		return
	}
	write := func(key, value string) error {
		err := os.WriteFile(parameterFile(key), []byte(value), 0)
		if errors.Is(err, fs.ErrNotExist) {
			t.Logf("this kernel has no %s", key)
		}
		return err
	}
	checked := 0
	for _, p := range linuxKeys {
		if p.kind != number || p.min == 0 && p.max == 0 {
			continue
		}
		for n, want := range map[int64]bool{p.min - 1: false, p.min: true, p.max: true, p.max + 1: false} {
			err := write(p.key, strconv.FormatInt(n, 10))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if (err == nil) != want || err != nil && !errors.Is(err, syscall.EINVAL) {
				t.Errorf("%s = %d: got %v, want it accepted: %v", p.key, n, err, want)
			}
			checked++
		}
	}
	if checked < 20 {
		t.Errorf("got %d values checked: this test is about nothing", checked)
	}
	os.WriteFile(parameterFile("net.ipv4.ip_unprivileged_port_start"), []byte("1024"), 0)
	k := &check{s: &Settings{}}
	for _, value := range []string{"1024 65535", "1023 65535", "1 65535", "2000 1000", "20000 65536", "20000 20000", "0 100"} {
		err := write(portRange, value)
		if why := k.rangeRefusal(value); (why == "") != (err == nil) {
			t.Errorf("%s = %s: got %v of the kernel, and %q", portRange, value, err, why)
		}
	}
	for value, want := range map[string]bool{"": true, "8080": true, "8080,9000-9100": true, "9100-9000": false, "x": false, "70000": false, "1,,2": false, "1, 2": false} {
		err := write(reserved, value+"\n")
		_, perr := parsePorts(value)
		if (err == nil) != want || (perr == nil) != want {
			t.Errorf("%s = %q: got %v of the kernel, and %v, want it accepted: %v", reserved, value, err, perr, want)
		}
		if got, _ := os.ReadFile(parameterFile(reserved)); err == nil && strings.TrimSpace(string(got)) != value {
			t.Errorf("%s = %q: got %q back", reserved, value, got)
		}
	}
}

// The parameter is the host's, and not to be seen in every network namespace.
func TestAFileThatLowersTheLimitOfOrphansIsFound(t *testing.T) {
	s := &Settings{values: map[string]Value{maxOrphans: {Text: "65536"}}}
	for value, want := range map[string]Severity{"65536": Good, "131072": Good, "65535": Note} {
		if err := s.Override("f", strings.NewReader(maxOrphans+" = "+value)); err != nil {
			t.Fatal(err)
		}
		for _, f := range Check(s, nil) {
			if f.ID == "max-orphans" && (f.Severity != want || strings.Contains(f.Effect, "lowers it from 65536") != (want == Note)) {
				t.Errorf("%s: got %+v, want %v", value, f, want)
			}
		}
	}
}
