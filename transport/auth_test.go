package transport

import (
	"encoding/base64"
	"net/http"
	"testing"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestCredentialsAreKnownByTheirScheme(t *testing.T) {
	for value, want := range map[string]credentials{
		"":                  {},
		"Basic bnRsbQ==":    {},
		"NTLMv2 x":          {},
		"Bearer NTLM":       {},
		"NTLM":              {scheme: ntlm},
		"ntlm ":             {scheme: ntlm},
		"NTLM hello":        {scheme: ntlm, token: "hello"},
		"nEGOTIATE  YIIabc": {scheme: negotiate, token: "YIIabc", step: stepFirst},
		"NTLM\thello":       {scheme: ntlm, token: "hello"},
	} {
		if got := credentialsOf(http.Header{"Authorization": {value}}); got != want {
			t.Errorf("%q is %+v, want %+v", value, got, want)
		}
	}
	two := http.Header{"Authorization": {"Basic x", "NTLM x"}}
	if got, want := credentialsOf(two), (credentials{scheme: ntlm, token: "x"}); got != want {
		t.Errorf("as a second value: got %+v, want %+v", got, want)
	}
	both := http.Header{"Authorization": {"Basic x"}, "Proxy-Authorization": {"NTLM x"}}
	if got, want := credentialsOf(both), (credentials{scheme: ntlm, token: "x", toProxy: true}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestTokensAreKnownByTheirPlaceInTheHandshake(t *testing.T) {
	for token, want := range map[string]authStep{
		"":             stepUnknown,
		"!!":           stepUnknown,
		"TlRMTVNTUAA=": stepUnknown, // NTLM's signature without a type
		"YIIFzQYGKwYB": stepFirst,   // Kerberos, as browsers send it
		b64("NTLMSSP\x00\x01\x00\x00\x00rest of it"): stepFirst,
		b64("NTLMSSP\x00\x02\x00\x00\x00rest of it"): stepUnknown, // is for servers
		b64("NTLMSSP\x00\x03\x00\x00\x00rest of it"): stepNext,
		b64("NTLMSSP\x00\x03\x00\x00\x00"):           stepNext,
		b64("\x60\x82\x01\x02"):                      stepFirst,
		b64("\xa1\x82\x01\x02"):                      stepNext,
		b64("\xa1"):                                  stepNext,
		b64("\x00"):                                  stepUnknown,
	} {
		if got := stepOf(token); got != want {
			t.Errorf("%q is step %d, want %d", token, got, want)
		}
	}
}

func TestChallengesAreReadFromLists(t *testing.T) {
	for _, c := range []struct {
		values         []string
		offered, going authScheme
	}{
		{nil, 0, 0},
		{[]string{`Basic realm="NTLM, Negotiate"`}, 0, 0},
		{[]string{`Basic realm="a \", NTLM"`}, 0, 0},
		{[]string{`Basic realm="a \\", NTLM`}, ntlm, 0},
		{[]string{`Basic realm="open, NTLM`}, 0, 0},
		{[]string{`Digest nonce="\`}, 0, 0},
		{[]string{"NTLM"}, ntlm, 0},
		{[]string{" negotiate ,,\tntlm,"}, ntlm | negotiate, 0},
		{[]string{"Negotiate", "NTLM TlRM=="}, ntlm | negotiate, ntlm},
		{[]string{"NTLM\tTlRM=="}, ntlm, ntlm},
		{[]string{`Digest realm="x", qop="auth", Negotiate oRQw`}, negotiate, negotiate},
	} {
		for status, name := range map[int]string{401: "Www-Authenticate", 407: "Proxy-Authenticate"} {
			resp := &http.Response{StatusCode: status, Header: http.Header{name: c.values}}
			if offered, going := challenges(resp); offered != c.offered || going != c.going {
				t.Errorf("%d %q: %b offered, %b going on, want %b and %b", status, c.values, offered, going, c.offered, c.going)
			}
		}
	}
}

func FuzzElements(f *testing.F) {
	f.Add(`Basic realm="a, \"b", NTLM`)
	f.Add(`x="\`)
	f.Fuzz(func(t *testing.T, list string) {
		n := 0
		for e := range elements(list) {
			if n += len(e); e == "" {
				t.Errorf("%q has an empty element", list)
			}
		}
		if n > len(list) {
			t.Errorf("%q has elements of %d bytes, more than it has", list, n)
		}
	})
}
