package transport_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// login is a client that authenticates: it asks, is told to, and does.
type login struct {
	rt     http.RoundTripper
	url    string
	user   string
	scheme string
	ctx    context.Context
	proxy  bool // 407 and its fields
	toy    bool // tokens in which nothing can be seen
	close  bool // bodies of challenges are closed unread
	// perLeg has every leg be a request of its own, with its own context.
	perLeg bool

	conns []string // the local addresses of the legs' connections
}

// leg sends one request with credentials, and returns the challenge in the
// answer, or the answer.
func (l *login) leg(token string) (status int, answer string, err error) {
	ctx := l.ctx
	if l.perLeg {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Minute)
		defer cancel()
	}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) { l.conns = append(l.conns, i.Conn.LocalAddr().String()) },
	}), "GET", l.url, nil)
	if err != nil {
		return 0, "", err
	}
	field, ask, challenged := "Authorization", "Www-Authenticate", http.StatusUnauthorized
	if l.proxy {
		field, ask, challenged = "Proxy-Authorization", "Proxy-Authenticate", http.StatusProxyAuthRequired
	}
	req.Header.Set("Tenant", l.user)
	if token != "" {
		req.Header.Set(field, l.scheme+" "+token)
	}
	resp, err := l.rt.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode == challenged {
		if !l.close {
			_, err = io.Copy(io.Discard, resp.Body)
		}
		fields := resp.Header[ask]
		return resp.StatusCode, strings.TrimPrefix(fields[len(fields)-1], l.scheme+" "), err
	}
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// run goes through all legs.
func (l *login) run() error {
	if l.ctx == nil {
		l.ctx = context.Background()
	}
	status, answer, err := l.leg("")
	if err != nil || status == http.StatusOK && answer == l.user {
		return err
	}
	return l.finish()
}

// finish is run without the leg that has no credentials.
func (l *login) finish() error {
	first := firstToken()
	if l.toy {
		first = "negotiate"
	}
	_, answer, err := l.leg(first)
	if err != nil {
		return fmt.Errorf("first token: %w", err)
	}
	challenge := words(answer)
	next := answerToken(l.user, challenge[len(challenge)-1])
	if l.toy {
		next = token("x " + l.user + " " + strings.TrimPrefix(answer, "toy-"))
	}
	status, who, err := l.leg(next)
	if err != nil || status != http.StatusOK || who != l.user {
		return fmt.Errorf("%s got %d %q, %v, want 200 and their name", l.user, status, who, err)
	}
	return nil
}

// ways are the different connections that the legs went by.
func (l *login) ways() []string {
	return slices.Compact(slices.Sorted(slices.Values(l.conns)))
}

// crowd has n others ask for what is public until stop is called.
func crowd(t *testing.T, rt http.RoundTripper, url string, n int) (stop func()) {
	done := make(chan struct{}) // closed by stop
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				req, err := http.NewRequest("GET", url+"/public", nil)
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("Tenant", fmt.Sprintf("other%d", i))
				body, resp, err := get1(rt, req)
				if err != nil || resp.StatusCode != 200 || body != "" {
					t.Errorf("a bystander got %v %q, %v, want to be nobody", resp, body, err)
					return
				}
			}
		})
	}
	return sync.OnceFunc(func() { close(done); all.Wait() })
}
