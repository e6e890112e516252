package transport_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"

	"github.com/stayopen-go/stayopen/transport"
)

// losses are ways to lose a connection on which a request has arrived, at least
// in part.
var losses = map[string]func(*peer) bool{
	"with its head read": func(p *peer) bool {
		p.head()
		p.close()
		return false
	},
	"with all of it read": func(p *peer) bool {
		p.request()
		p.close()
		return false
	},
	"with all of it read, by RST": func(p *peer) bool {
		p.request()
		p.reset()
		return false
	},
	"after a 103": func(p *peer) bool {
		if a, err := p.request(); err == nil {
			p.inform(a, 103)
		}
		p.close()
		return false
	},
	"with half a response sent": func(p *peer) bool {
		a, err := p.request()
		switch {
		case err != nil:
		case p.h2 == nil:
			io.WriteString(p, "HTTP/1.1 200 OK\r\nContent-Le")
		default:
			// The header of a frame of 10 bytes, and 1 of them.
			p.Write([]byte{0, 0, 10, byte(http2.FrameHeaders), 0, 0, 0, 0, byte(a.stream), 0x88})
		}
		p.close()
		return false
	},
}

func TestPOSTThatMayHaveBeenSentIsNotSentAgainAndSaysSo(t *testing.T) {
	for name, loss := range losses {
		t.Run(name, func(t *testing.T) {
			inModes(t, func(t *testing.T, mode string) {
				c := try{method: "POST", body: small(), again: true, fate: loss}
				got := c.ours(t, mode)
				got.want(t, maybeSent, 1)
				got.void(t, c.theirs(t, mode))
			})
		})
	}
}

func TestGETWhoseConnectionIsLostIsSentAgain(t *testing.T) {
	for name, loss := range losses {
		t.Run(name, func(t *testing.T) {
			inModes(t, func(t *testing.T, mode string) {
				c := try{method: "GET", fate: loss}
				got := c.ours(t, mode)
				got.want(t, answered, 2)
				if got.retries != 1 {
					t.Errorf("Retries = %d, want 1", got.retries)
				}
				if base := c.theirs(t, mode); mode == "h2" { // HTTP/1 net/http mostly retries too
					got.void(t, base)
				}
			})
		})
	}
}

func TestPOSTWithAnIdempotencyKeyIsSentAgainWhole(t *testing.T) {
	for name, header := range map[string]http.Header{
		"Idempotency-Key":                     {"Idempotency-Key": {"17"}},
		"X-Idempotency-Key":                   {"X-Idempotency-Key": {"17"}},
		"empty list, which sends no header":   {"Idempotency-Key": {}},
		"nil list":                            {"Idempotency-Key": nil},
		"the value is the empty string":       {"Idempotency-Key": {""}},
		"empty list, of the X- header":        {"X-Idempotency-Key": {}},
		"both, one of them without any value": {"Idempotency-Key": {}, "X-Idempotency-Key": {"17"}},
	} {
		t.Run(name, func(t *testing.T) {
			inModes(t, func(t *testing.T, mode string) {
				var seen http.Header
				c := try{method: "POST", header: header, body: &payload{data: bytes.Repeat([]byte("twelve bytes"), 25_000)}, again: true, fate: func(p *peer) bool {
					a, err := p.head()
					if err == nil {
						seen = a.header
						p.body(a, 100_000)
					}
					p.reset()
					return false
				}}
				got := c.ours(t, mode)
				got.want(t, answered, 2)
				for key, values := range header {
					if sent := len(seen.Values(key)); sent != len(values) {
						t.Errorf("%s arrived with %d values, want %d", key, sent, len(values))
					}
				}
			})
		})
	}
}

func TestPOSTWithAnIdempotencyKeyAndABodyThatCannotBeHadAgainIsNotSentAgain(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		c := try{method: "POST", header: http.Header{"Idempotency-Key": {"17"}}, body: small(), fate: losses["with all of it read"]}
		got := c.ours(t, mode)
		got.want(t, maybeSent, 1)
		got.void(t, c.theirs(t, mode))
	})
}

func TestErrorOfGetBodyEndsTheRetries(t *testing.T) {
	boom := errors.New("the file is gone")
	inModes(t, func(t *testing.T, mode string) {
		s := servePeers(t, mode, try{fate: losses["with all of it read"]}.server(newStrike()))
		tr := newTransport(t, transport.Config{Template: s.template()})
		mustGet(t, &http.Client{Transport: tr}, s.url)
		req, _ := http.NewRequest("POST", s.url+tryPath, nil)
		req.Header["Idempotency-Key"] = nil
		body := small()
		body.attach(req, true)
		req.GetBody = func() (io.ReadCloser, error) { return nil, boom }
		_, err := tr.RoundTrip(req)
		body.checkClosed(t, true)
		if !errors.Is(err, boom) {
			t.Errorf("error %v, want GetBody's", err)
		}
		if n := s.arrived(tryPath); n != 1 {
			t.Errorf("the request arrived %d times, want once", n)
		}
	})
}

// farewells are what servers do to idle connections.
var farewells = map[string]func(*peer) bool{
	"FIN": func(p *peer) bool {
		p.close()
		return false
	},
	"RST": func(p *peer) bool {
		p.reset()
		return false
	},
	"408": func(p *peer) bool {
		io.WriteString(p, "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		p.close()
		return false
	},
	"another response that nobody asked for": func(p *peer) bool {
		io.WriteString(p, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno")
		return false
	},
	"GOAWAY": func(p *peer) bool {
		p.goAway(p.h2.last)
		p.close()
		return false
	},
}

func farewellModes(name string) []string {
	switch name {
	case "408", "another response that nobody asked for":
		return []string{"h1", "https1"}
	case "GOAWAY":
		return []string{"h2"}
	}
	return modes
}

// The body can be had only once: that it was not touched is what saves it.
func TestPOSTWhoseConnectionEndsBeforeAnythingIsWrittenIsSentOnAnother(t *testing.T) {
	for name, farewell := range farewells {
		for _, mode := range farewellModes(name) {
			t.Run(name+"/"+mode, func(t *testing.T) {
				c := try{method: "POST", body: small(), fate: farewell, between: true}
				got := c.ours(t, mode)
				got.want(t, answered, 1)
				if got.retries != 1 {
					t.Errorf("Retries = %d, want 1: the connection did not end when it was to", got.retries)
				}
				if base := c.theirs(t, mode); mode != "h2" { // there net/http does as well
					got.void(t, base)
				}
			})
		}
	}
}

func TestPOSTWhoseFirstWriteFailsIsSentOnAnotherConnection(t *testing.T) {
	for _, again := range []bool{true, false} {
		for _, mode := range []string{"h1", "https1"} { // an HTTP/2 connection is written to for other streams too
			t.Run(fmt.Sprintf("again=%v/%s", again, mode), func(t *testing.T) {
				c := try{method: "POST", body: small(), again: again, fails: true}
				got := c.ours(t, mode)
				got.want(t, answered, 1)
				if got.retries != 1 {
					t.Errorf("Retries = %d, want 1", got.retries)
				}
				if base := c.theirs(t, mode); !again {
					got.void(t, base)
				}
			})
		}
	}
}

// There is no retry either: a new connection has not gone stale.
func TestPOSTOfWhichNothingCouldBeWrittenDoesNotClaimThatItMayHaveBeenSent(t *testing.T) {
	try{method: "POST", body: small(), again: true, fails: true, fresh: true}.ours(t, "h1").want(t, failed, 0)
}

func TestIdleConnectionThatTheServerHasLeftIsNotUsed(t *testing.T) {
	for name, farewell := range farewells {
		for _, mode := range farewellModes(name) {
			t.Run(name+"/"+mode, func(t *testing.T) {
				said := make(chan struct{})
				s := servePeers(t, mode, try{fate: func(p *peer) bool {
					defer close(said)
					return farewell(p)
				}}.server(newStrike()))
				tr := newTransport(t, transport.Config{Template: s.template()})
				mustGet(t, &http.Client{Transport: tr}, s.url)
				<-said
				await(t, "the connection to be closed", func() bool { return tr.Stats().Open == 0 })
				req, _ := http.NewRequest("POST", s.url+tryPath, nil)
				body := small()
				body.attach(req, false)
				resp, err := tr.RoundTrip(req)
				body.checkClosed(t, err != nil)
				if err != nil {
					t.Fatalf("POST after the connection has ended: %v", err)
				}
				resp.Body.Close()
				if st := tr.Stats(); st.Retries != 0 || st.Opened != 2 || st.Exchanges != 2 {
					t.Errorf("%d retries, %d opened, %d exchanges, want 0, 2 and 2: what comes unasked is no response", st.Retries, st.Opened, st.Exchanges)
				}
			})
		}
	}
}

func TestRequestWhoseNewConnectionIsLostIsNotSentAgainAndFailsAsWithNetHTTP(t *testing.T) {
	for name, loss := range losses {
		for method, want := range map[string]outcome{"GET": failed, "POST": maybeSent} {
			t.Run(name+"/"+method, func(t *testing.T) {
				inModes(t, func(t *testing.T, mode string) {
					c := try{method: method, fate: loss, fresh: true, always: true}
					if method == "POST" {
						c.body, c.again = small(), true
					}
					got := c.ours(t, mode)
					got.want(t, want, 1)
					if got.accepts != 1 {
						t.Errorf("%d connections were opened, want 1", got.accepts)
					}
					base := c.theirs(t, mode)
					if chance := strings.Contains(name, "RST") || strings.Contains(name, "head"); chance {
						return // it depends on whether a reader or a writer meets the end first
					}
					if ours, theirs := plainText(got.err), plainText(base.err); ours != theirs {
						t.Errorf("error %q, want net/http's %q", ours, theirs)
					}
				})
			})
		}
	}
}

var portNumber = regexp.MustCompile(`127\.0\.0\.1:\d+`)

// plainText is an error's text without port numbers and our word that the
// request may have been sent.
func plainText(err error) string {
	var maybe *transport.MaybeSentError
	if errors.As(err, &maybe) {
		err = maybe.Err
	}
	return portNumber.ReplaceAllString(fmt.Sprint(err), "addr")
}

func TestErrorOfTheRequestsBodyIsReturnedAndNeverRetried(t *testing.T) {
	boom := errors.New("the disk is broken")
	for name, size := range map[string]int{"at once": 0, "after some bytes": 100, "after many": 300_000} {
		for _, fresh := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/fresh=%v", name, fresh), func(t *testing.T) {
				inModes(t, func(t *testing.T, mode string) {
					c := try{
						method: "POST", header: http.Header{"Idempotency-Key": {"17"}},
						body: &payload{data: make([]byte, size), fail: boom}, again: true,
						fresh: fresh,
					}
					got := c.ours(t, mode)
					if got.outcome != failed || !errors.Is(got.err, boom) {
						t.Errorf("%s: %v, want the body's own error", got.outcome, got.err)
					}
					if got.retries != 0 || got.arrived > 1 {
						t.Errorf("%d retries, %d arrivals, want no retry: the body would fail again", got.retries, got.arrived)
					}
					if base := c.theirs(t, mode); plainText(got.err) != plainText(base.err) {
						t.Errorf("error %q, want net/http's %q", got.err, base.err)
					}
				})
			})
		}
	}
}

// What is to blame is the body, though the connection was lost as well.
func TestErrorOfTheRequestsBodyCountsMoreThanTheLossOfTheConnection(t *testing.T) {
	boom := errors.New("the disk is broken")
	for _, mode := range []string{"h1", "https1"} { // an HTTP/2 stream ends without waiting for its body
		t.Run(mode, func(t *testing.T) {
			strike := newStrike()
			s := servePeers(t, mode, try{fate: func(p *peer) bool {
				p.head()
				<-strike.wait
				p.reset()
				return false
			}}.server(strike))
			tap := new(tap)
			tr := newTransport(t, transport.Config{Template: tap.on(s.template())})
			mustGet(t, &http.Client{Transport: tr}, s.url)
			strike.seen = tap.conn(0).isClosed
			body := &payload{data: make([]byte, 100), fail: boom, last: func() { strike.now(t) }}
			req, _ := http.NewRequest("POST", s.url+tryPath, nil)
			req.Header["Idempotency-Key"] = nil
			body.attach(req, true)
			_, err := tr.RoundTrip(req)
			body.checkClosed(t, true)
			if !errors.Is(err, boom) || s.arrived(tryPath) != 1 {
				t.Errorf("%v after %d arrivals, want the body's error after 1", err, s.arrived(tryPath))
			}
		})
	}
}

func TestUploadOfTenMegabytesThatIsCutInTheMiddle(t *testing.T) {
	cut := func(p *peer) bool {
		if a, err := p.head(); err == nil {
			p.body(a, 5<<20)
		}
		p.reset()
		return false
	}
	upload := func() *payload { return &payload{data: bytes.Repeat([]byte("0123456789abcdef"), 10<<20/16)} }
	inModes(t, func(t *testing.T, mode string) {
		t.Run("says that it may have been sent", func(t *testing.T) {
			c := try{method: "PUT", body: upload(), again: true, fate: cut}
			got := c.ours(t, mode)
			got.want(t, maybeSent, 1)
			got.void(t, c.theirs(t, mode))
		})
		t.Run("is sent again from its beginning if it has a key", func(t *testing.T) {
			try{method: "PUT", header: http.Header{"Idempotency-Key": {"17"}}, body: upload(), again: true, fate: cut}.ours(t, mode).want(t, answered, 2)
		})
	})
}

func TestMalformedResponseIsAnErrorAndNoReasonToAskAgain(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		c := try{method: "GET", fate: func(p *peer) bool {
			a, err := p.request()
			switch {
			case err != nil:
				return false
			case p.h2 == nil:
				io.WriteString(p, "SPQR\r\n\r\n")
			default:
				p.answerHead(a, ":status", "200", "Upper-Case", "is not allowed")
			}
			return true
		}}
		got := c.ours(t, mode)
		got.want(t, failed, 1)
		if base := c.theirs(t, mode); plainText(got.err) != plainText(base.err) {
			t.Errorf("error %q, want net/http's %q", got.err, base.err)
		}
	})
}

func TestGETOutlivesMoreDeadConnectionsThanRefusals(t *testing.T) {
	const dead = 12
	inModes(t, func(t *testing.T, mode string) {
		var all sync.WaitGroup
		all.Add(dead)
		s := servePeersOf(t, mode, 1, func(p *peer) {
			a, err := p.request()
			if err != nil {
				return
			}
			if p.number >= dead {
				p.answer(a, 200, "")
				return
			}
			all.Done()
			all.Wait() // so that all are open at once
			p.answer(a, 200, "")
			p.head()
			p.close()
		})
		tr := newTransport(t, transport.Config{Template: s.template()})
		c := &http.Client{Transport: tr}
		var wg sync.WaitGroup
		for range dead {
			wg.Go(func() {
				if _, _, err := get(c, s.url+"/before"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if idle := tr.Stats().Idle; idle != dead {
			t.Fatalf("%d connections idle, want %d", idle, dead)
		}
		if _, _, err := get(c, s.url+tryPath); err != nil {
			t.Errorf("GET with %d idle connections that die as they are used: %v, want an answer over a new one", dead, err)
		}
		if n := s.arrived(tryPath); n != dead+1 {
			t.Errorf("the request arrived %d times, want %d", n, dead+1)
		}
	})
}
