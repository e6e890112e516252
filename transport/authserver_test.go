package transport_test

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// authServer authenticates connections, as NTLM and Negotiate do: a first token
// is answered with a challenge, the answer to it makes the connection the
// user's, and from then on every request on it is taken for the user's.
// Everything in plain sight: the answer names user and challenge.
type authServer struct {
	*server
	proxy   bool // speaks as a proxy: 407 and its fields
	closing bool // a challenge ends the connection
	body    string
	toy     bool // tokens are not told apart by how they begin

	mu     sync.Mutex
	conns  map[net.Conn]*authConn
	number int      // of challenges
	faults []string // requests that came by a connection they had no business on
	users  []string // who was authenticated, by connection, in order
}

// authConn is what the server knows of a connection.
type authConn struct {
	asked     bool   // it has answered 401
	challenge string // that the next request is to answer
	user      string // it was authenticated for
}

func serveAuth(t *testing.T, mode string) *authServer {
	t.Helper()
	s := &authServer{conns: make(map[net.Conn]*authConn)}
	s.server = serve(t, mode, s)
	t.Cleanup(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, fault := range s.faults {
			t.Error(fault)
		}
	})
	return s
}

// Messages of NTLM ([MS-NLMP], section 2.2), as far as anybody here looks.
func firstToken() string { return token("NTLMSSP\x00\x01\x00\x00\x00 negotiate") }

func challengeToken(challenge string) string {
	return token("NTLMSSP\x00\x02\x00\x00\x00 challenge " + challenge)
}

func answerToken(user, challenge string) string {
	return token("NTLMSSP\x00\x03\x00\x00\x00 authenticate " + user + " " + challenge)
}

func token(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// words are a token's.
func words(token string) []string {
	b, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		return []string{token}
	}
	return strings.Fields(string(b))
}

func (s *authServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	nc := r.Context().Value(connKey{}).(net.Conn)
	c := s.conns[nc]
	if c == nil {
		c = new(authConn)
		s.conns[nc] = c
	}
	field, ask, status := "Authorization", "WWW-Authenticate", http.StatusUnauthorized
	if s.proxy {
		field, ask, status = "Proxy-Authorization", "Proxy-Authenticate", http.StatusProxyAuthRequired
	}
	scheme, token, _ := strings.Cut(r.Header.Get(field), " ")
	who := r.Header.Get("Tenant")
	refuse := func(challenge ...string) {
		for _, c := range challenge {
			w.Header().Add(ask, c)
		}
		if s.closing {
			w.Header().Set("Connection", "close")
		}
		w.WriteHeader(status)
		fmt.Fprint(w, s.body)
	}
	said := words(token)
	switch {
	case scheme == "":
		if c.challenge != "" {
			s.faultLocked("%s %s came by a connection that was in the middle of a handshake", who, r.URL.Path)
		}
		if c.user != "" && c.user != who {
			s.faultLocked("%s %s came by %s's connection", who, r.URL.Path, c.user)
		}
		if c.user != "" || r.URL.Path == "/public" {
			fmt.Fprint(w, c.user)
			return
		}
		c.asked = true
		refuse(`Basic realm="NTLM, or not"`, "Negotiate, NTLM")
	case r.ProtoMajor != 1:
		s.faultLocked("%s authenticates over %s", who, r.Proto)
	case said[len(said)-1] == "negotiate": // over again, if need be
		s.number++
		c.user, c.challenge = "", fmt.Sprintf("c%d", s.number)
		if s.toy {
			refuse(scheme + " toy-" + c.challenge)
		} else {
			refuse(scheme + " " + challengeToken(c.challenge))
		}
	case len(said) < 3 || said[len(said)-1] != c.challenge || c.challenge == "":
		if c.user != "" {
			s.faultLocked("%s answers a challenge by %s's connection", who, c.user)
		}
		c.challenge = ""
		refuse(scheme)
	default:
		c.challenge, c.user = "", said[len(said)-2]
		s.users = append(s.users, fmt.Sprintf("%s by %s", c.user, r.RemoteAddr))
		fmt.Fprint(w, c.user)
	}
}

func (s *authServer) faultLocked(format string, args ...any) {
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}

// logins is who was authenticated so far.
func (s *authServer) logins() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.users...)
}
