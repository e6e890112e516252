package transport_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// timed reports an error together with the time that it took.
func timed(f func() error) string {
	start := time.Now()
	err := f()
	return fmt.Sprintf("%s\nafter %v", describe(err), time.Since(start))
}

func TestResponseHeaderTimeoutIsThatOfNetHTTP(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		synctest.Test(t, func(t *testing.T) {
			s, tmpl := newMemory().serve(t, mode, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/late header" {
					pass(time.Minute)
				}
				w.WriteHeader(http.StatusOK)
				http.NewResponseController(w).Flush()
				pass(time.Minute) // a body may take as long as it likes
			}))
			tmpl.ResponseHeaderTimeout = 10 * time.Second
			for _, path := range []string{"/late header", "/late body"} {
				sameOnBoth(t, tmpl, func(t *testing.T, rt http.RoundTripper) string {
					return timed(func() error {
						_, _, err := get1(rt, newRequest(t, "GET", s.URL+strings.ReplaceAll(path, " ", "%20"), nil))
						return err
					})
				})
			}
		})
	})
}

func TestMaxResponseHeaderBytesIsThatOfNetHTTP(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		s := serve(t, mode, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/long" {
				w.Header().Set("Long", strings.Repeat("x", 20_000))
			}
		}))
		for _, limit := range []int64{0, 10_000, 100_000} {
			for _, path := range []string{"/short", "/long"} {
				tmpl := s.template(mode)
				tmpl.MaxResponseHeaderBytes = limit
				sameOnBoth(t, tmpl, func(t *testing.T, rt http.RoundTripper) string {
					_, resp, err := get1(rt, newRequest(t, "GET", s.URL+path, nil))
					if err != nil {
						return err.Error()
					}
					return fmt.Sprint(len(resp.Header.Get("Long")))
				})
			}
		}
	})
}

func TestTLSHandshakeTimeoutIsThatOfNetHTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var there []net.Conn
		defer func() {
			for _, c := range there {
				c.Close()
			}
		}()
		tmpl := &http.Transport{TLSHandshakeTimeout: 7 * time.Second}
		tmpl.DialContext = func(context.Context, string, string) (net.Conn, error) {
			here, mute := net.Pipe()
			there = append(there, mute)
			return here, nil
		}
		sameOnBoth(t, tmpl, func(t *testing.T, rt http.RoundTripper) string {
			return timed(func() error {
				_, _, err := get1(rt, newRequest(t, "GET", "https://a.example/", nil))
				return err
			})
		})
	})
}

func TestExpectContinueTimeoutIsThatOfNetHTTP(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		for _, timeout := range []time.Duration{0, 2 * time.Second, time.Minute} {
			synctest.Test(t, func(t *testing.T) {
				s, tmpl := newMemory().serve(t, mode, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					pass(10 * time.Second)
					io.Copy(io.Discard, r.Body) // asks for it, and waits
				}))
				tmpl.ExpectContinueTimeout = timeout
				sameOnBoth(t, tmpl, func(t *testing.T, rt http.RoundTripper) string {
					var sent time.Duration
					start := time.Now()
					read := false
					req := newRequest(t, "POST", s.URL, readerFunc(func(p []byte) (int, error) {
						if read {
							return 0, io.EOF
						}
						read = true
						sent = time.Since(start)
						return copy(p, "body"), nil
					}))
					req.Header.Set("Expect", "100-continue")
					_, resp, err := get1(rt, req)
					if err != nil {
						t.Fatal(err)
					}
					return fmt.Sprintf("%s, the body was sent after %v", resp.Status, sent)
				})
			})
		}
	})
}
