package transport

import (
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"strings"
)

// authScheme is a set of the HTTP authentication schemes whose result is about
// the connection, for every request on it, where RFC 9110, section 11.1, would
// have each request authenticated by itself.
type authScheme uint8

const (
	ntlm      authScheme = 1 << iota // [MS-NTHT]
	negotiate                        // RFC 4559, section 6
)

// schemeNamed is zero for every other scheme.
func schemeNamed(name string) authScheme {
	switch {
	case strings.EqualFold(name, "NTLM"):
		return ntlm
	case strings.EqualFold(name, "Negotiate"):
		return negotiate
	}
	return 0
}

// credentials are what a request carries for such a scheme. The zero value is
// that of a request that carries none.
type credentials struct {
	scheme  authScheme // one
	token   string
	step    authStep
	toProxy bool // by Proxy-Authorization
}

// authStep is a token's place in its handshake.
type authStep uint8

const (
	stepUnknown authStep = iota
	stepFirst            // begins a handshake, on whatever connection
	stepNext             // answers a challenge, on the connection that it came by
)

func credentialsOf(h http.Header) credentials {
	if c := credentialsIn(h["Authorization"]); c.scheme != 0 {
		return c
	}
	c := credentialsIn(h["Proxy-Authorization"])
	c.toProxy = c.scheme != 0
	return c
}

// credentialsIn looks at every value, though a field of credentials has one: a
// request that was passed on may have more, of which the server takes whichever it
// likes.
func credentialsIn(values []string) credentials {
	for _, value := range values {
		name, token := schemeAndToken(value)
		if scheme := schemeNamed(name); scheme != 0 {
			return credentials{scheme: scheme, token: token, step: stepOf(token)}
		}
	}
	return credentials{}
}

// schemeAndToken parts credentials, or a challenge. A tab parts them as well, for
// servers that see no difference.
func schemeAndToken(s string) (scheme, token string) {
	s = strings.TrimSpace(s)
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		return s[:i], strings.TrimSpace(s[i:])
	}
	return s, ""
}

// ntlmSignature begins every message of NTLM ([MS-NLMP], section 2.2), which
// Negotiate may carry bare.
const ntlmSignature = "NTLMSSP\x00"

// stepOf tells a token's place from how it begins.
func stepOf(token string) authStep {
	const enough = 16 // characters for 12 bytes: signature and type
	b, err := base64.StdEncoding.DecodeString(token[:min(len(token)/4*4, enough)])
	if err != nil || len(b) == 0 {
		return stepUnknown
	}
	if len(b) >= 12 && string(b[:8]) == ntlmSignature {
		switch binary.LittleEndian.Uint32(b[8:]) {
		case 1: // NEGOTIATE_MESSAGE
			return stepFirst
		case 3: // AUTHENTICATE_MESSAGE
			return stepNext
		}
		return stepUnknown
	}
	switch b[0] {
	case 0x60: // GSS-API's InitialContextToken (RFC 2743, section 3.1)
		return stepFirst
	case 0xa1: // SPNEGO's NegTokenResp (RFC 4178, section 4.2)
		return stepNext
	}
	return stepUnknown
}

// challenges are the schemes that a response of status 401 or 407 offers, and
// those of them for which it has a token: their handshake goes on.
func challenges(resp *http.Response) (offered, going authScheme) {
	name := "Www-Authenticate"
	if resp.StatusCode == http.StatusProxyAuthRequired {
		name = "Proxy-Authenticate"
	}
	for _, value := range resp.Header[name] {
		for element := range elements(value) {
			name, token := schemeAndToken(element)
			scheme := schemeNamed(name)
			offered |= scheme
			if token != "" {
				going |= scheme
			}
		}
	}
	return offered, going
}

// elements yields the elements of a list without the white space around them
// (RFC 9110, section 5.6.1). A comma in a quoted string separates none.
func elements(list string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		start, quoted := 0, false
		for i := 0; i <= len(list); i++ {
			switch {
			case i == len(list), list[i] == ',' && !quoted:
				if element := strings.TrimSpace(list[start:i]); element != "" && !yield(element) {
					return
				}
				start = i + 1
			case list[i] == '"':
				quoted = !quoted
			case list[i] == '\\' && quoted && i+1 < len(list):
				i++ // quoted-pair
			}
		}
	}
}
