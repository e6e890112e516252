package main

import (
	"context"
	"errors"
	"flag"
	"strings"
	"testing"
	"time"
)

func TestWithoutFlagsTheLoadIsTheDocumentedOne(t *testing.T) {
	o, err := parseOptions(nil)
	if err != nil {
		t.Fatalf("no flags: %v", err)
	}
	want := options{bursts: 20, burstSize: 200, pause: 50 * time.Millisecond, mix: 5 * time.Second, rate: 2000, origins: 50, seed: 1}
	if o != want {
		t.Errorf("got %+v, want %+v", o, want)
	}
	if got := o.burstRequests(); got != 4000 {
		t.Errorf("got %d burst requests, want 4000", got)
	}
	if got := o.mixRequests(); got != 10_000 {
		t.Errorf("got %d mix requests, want 10000", got)
	}
}

func TestFlagsThatMakeNoSenseEndWithCodeTwoAndSayWhich(t *testing.T) {
	for _, tc := range []struct{ args, says string }{
		{"-bursts=-1", "-bursts is -1"},
		{"-burst-size=0", "-burst-size is 0"},
		{"-burst-size=many", "burst-size"},
		{"-pause=-1s", "-pause is -1s"},
		{"-mix=-1s", "-mix is -1s"},
		{"-mix=2h", "-mix is 2h"},
		{"-mix=5", "mix"},
		{"-rate=0", "-rate is 0"},
		{"-origins=0", "-origins is 0"},
		{"-origins=255", "-origins is 255"},
		{"-seed=-1", "seed"},
		{"-bursts=0 -mix=0s", "nothing to send"},
		{"-bursts=10000 -burst-size=10000", "are more than"},
		{"-url=", `-url is ""`},
		{"-url=ftp://example.org/", "ftp"},
		{"-url=example.org", "http://"},
		{"-url=http:///path", "names no host"},
		{"-url=http://exa%mple.org", "-url"},
		{"-url=http://example.org -origins=3", "-origins cannot"},
		{"-no-such-flag", "no-such-flag"},
		{"burst", `unexpected argument "burst"`},
	} {
		t.Run(tc.args, func(t *testing.T) {
			var stdout, stderr strings.Builder
			code := run(context.Background(), strings.Fields(tc.args), &stdout, &stderr)
			if code != exitUsage {
				t.Errorf("got exit code %d, want %d", code, exitUsage)
			}
			if !strings.Contains(stderr.String(), tc.says) {
				t.Errorf("stderr says %q, want it to mention %q", stderr.String(), tc.says)
			}
			if stdout.Len() > 0 {
				t.Errorf("stdout got %q, want nothing: a script reads it", stdout.String())
			}
		})
	}
}

func TestHelpListsEveryFlagAndSucceeds(t *testing.T) {
	if _, err := parseOptions([]string{"-h"}); !errors.Is(err, flag.ErrHelp) {
		t.Fatalf("got %v, want flag.ErrHelp", err)
	}
	var stdout, stderr strings.Builder
	if code := run(context.Background(), []string{"-h"}, &stdout, &stderr); code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
	var o options
	fs, _ := newFlagSet(&o)
	fs.VisitAll(func(f *flag.Flag) {
		if !strings.Contains(stderr.String(), "-"+f.Name) {
			t.Errorf("the usage does not mention -%s", f.Name)
		}
	})
}

func TestAURLIsOneOriginOfEitherScheme(t *testing.T) {
	for _, raw := range []string{"http://127.0.0.1:8080/x?y=z", "https://example.org"} {
		o, err := parseOptions([]string{"-url", raw})
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		if o.url.String() != raw || o.origins != 1 {
			t.Errorf("got %s over %d origins, want %s over 1", o.url, o.origins, raw)
		}
	}
}
