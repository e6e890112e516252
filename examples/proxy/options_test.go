package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFlagsAreRead(t *testing.T) {
	o, err := parseOptions([]string{"-listen=:80", "-upstream=http://a", "-upstream", "https://[::1]:8443/base", "-source=127.0.0.2", "-source=2001:db8::1/64", "-grace=1m", "-timeout=0"})
	if err != nil {
		t.Fatal(err)
	}
	if len(o.upstreams) != 2 || o.upstreams[1].String() != "https://[::1]:8443/base" || o.listen != ":80" {
		t.Errorf("got %+v, want two upstreams", o)
	}
	if len(o.sources) != 2 || o.sources[0].String() != "127.0.0.2/32" || o.sources[1].String() != "2001:db8::/64" {
		t.Errorf("got sources %v, want 127.0.0.2/32 and 2001:db8::/64", o.sources)
	}
	if o.grace != time.Minute || o.timeout != 0 || o.balance != leastLoaded || o.health != "" || o.healthEvery != 2*time.Second {
		t.Errorf("got %+v, want the defaults but for -grace and -timeout", o)
	}
}

func TestFlagsThatCannotBeUsedAreNamed(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ args, want string }{
		{"", "no -upstream is given"},
		{"-upstream=a:80", "-upstream: want a URL"},
		{"-upstream=ftp://a", "-upstream: want a URL"},
		{"-upstream=http://", "-upstream: want a URL"},
		{"-upstream=http://:80", "-upstream: want a URL"},
		{"-upstream=http://a:0", "-upstream: want a port"},
		{"-upstream=http://a:99999", "-upstream: want a port"},
		{"-upstream=http://me:secret@a", "-upstream: want a URL without a user"},
		{"-upstream=http://a?b=c", "-upstream: want a URL without a query"},
		{"-upstream=http://a#b", "-upstream: want a URL without a query"},
		{"-upstream=http://a -upstream=http://a", "-upstream http://a is given twice"},
		{"-upstream=http://a b", "unexpected argument \"b\""},
		{"-upstream=http://a -balance=best", "-balance is \"best\""},
		{"-upstream=http://a -health=healthz", "-health is \"healthz\""},
		{"-upstream=http://a -health=//b/c", "-health is"},
		{"-upstream=http://a -health-every=0", "-health-every is 0s"},
		{"-upstream=http://a -grace=-1s", "-grace is -1s"},
		{"-upstream=http://a -timeout=-1s", "-timeout is -1s"},
		{"-upstream=http://a -source=b", "-source: want an address"},
		{"-upstream=http://a -source=127.0.0.1 -source=127.0.0.0/8", "-source: "},
		{"-upstream=http://a -ca=" + empty, "-ca: the file has no certificate"},
		{"-upstream=http://a -ca=" + empty + ".none", "-ca: "},
		{"-upstream=http://a -compare", "-compare is for -demo"},
		{"-demo -upstream=http://a", "-upstream cannot be given with -demo"},
		{"-demo -demo-clients=0", "-demo-clients is 0"},
		{"-demo -demo-upstreams=101", "-demo-upstreams is 101"},
		{"-nonsense", "-nonsense"},
	} {
		var stderr strings.Builder
		if code := run(t.Context(), strings.Fields(tc.args), io.Discard, &stderr); code != exitUsage || !strings.Contains(stderr.String(), tc.want) {
			t.Errorf("%q: got exit code %d and %q, want %d and %q", tc.args, code, &stderr, exitUsage, tc.want)
		}
	}
}

func TestAnAddressThatIsTakenIsAFailure(t *testing.T) {
	taken := startBackend(t, said("u"))
	for flag, args := range map[string][]string{"listen": {"-listen=" + taken.address}, "admin": {"-listen=127.0.0.1:0", "-admin=" + taken.address}} {
		var stderr strings.Builder
		if code := run(t.Context(), append(args, "-upstream=http://a"), io.Discard, &stderr); code != exitFailed || !strings.Contains(stderr.String(), "-"+flag+": ") {
			t.Errorf("got exit code %d and %q, want %d and the flag -%s", code, &stderr, exitFailed, flag)
		}
	}
}

func TestHelpListsTheFlags(t *testing.T) {
	var stderr strings.Builder
	if code := run(t.Context(), []string{"-h"}, io.Discard, &stderr); code != 0 || !strings.Contains(stderr.String(), "-upstream URL") {
		t.Errorf("got exit code %d and %q, want 0 and the usage", code, &stderr)
	}
}
