package main

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFlagsThatCannotBeUsedEndWithStatusTwoAndSayWhich(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.conf")
	if err := os.WriteFile(bad, []byte("\nnet.ipv4.tcp_fin_timeout 30\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		says string
	}{
		{[]string{"-watch=0s"}, "-watch is 0s, want 100ms to"},
		{[]string{"-watch=-1s"}, "-watch is -1s"},
		{[]string{"-watch=3"}, "watch"},
		{[]string{"-watch=48h"}, "-watch is 48h"},
		{[]string{"-top=-1"}, "-top is -1"},
		{[]string{"-top=many"}, "top"},
		{[]string{"-sysctl="}, "want the name of a file"},
		{[]string{"-sysctl=/no/such/file"}, "/no/such/file"},
		{[]string{"-sysctl", bad}, bad + ":2: "},
		{[]string{"-no-such-flag"}, "no-such-flag"},
		{[]string{"sysctl.conf"}, `unexpected argument "sysctl.conf"`},
	} {
		var stdout, stderr strings.Builder
		if code := run(context.Background(), test.args, &stdout, &stderr); code != exitFailed {
			t.Errorf("%q: got status %d, want %d", test.args, code, exitFailed)
		}
		if !strings.Contains(stderr.String(), test.says) {
			t.Errorf("%q: got %q, want it to say %q", test.args, stderr.String(), test.says)
		}
		if stdout.Len() > 0 {
			t.Errorf("%q: got %q on stdout, want nothing: a script reads it", test.args, stdout.String())
		}
	}
}

func TestHelpListsEveryFlagAndSucceeds(t *testing.T) {
	var stdout, stderr strings.Builder
	if code := run(context.Background(), []string{"-h"}, &stdout, &stderr); code != 0 {
		t.Errorf("got status %d, want 0", code)
	}
	var o options
	newFlagSet(&o).VisitAll(func(f *flag.Flag) {
		if !strings.Contains(stderr.String(), "-"+f.Name) {
			t.Errorf("the usage does not mention -%s", f.Name)
		}
	})
}
