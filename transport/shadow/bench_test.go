package shadow_test

import (
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"

	"github.com/stayopen-go/stayopen/transport/shadow"
)

// BenchmarkOverhead is what the wrapper costs by itself: the transport beneath
// calls the hooks that a reused connection calls, and has an answer at once.
func BenchmarkOverhead(b *testing.B) {
	base := roundTrip(func(req *http.Request) (*http.Response, error) {
		callHooks(req)
		return &http.Response{StatusCode: 200, ProtoMajor: 1, ContentLength: 5, Body: io.NopCloser(strings.NewReader("hello"))}, nil
	})
	sh, err := shadow.New(shadow.Config{Base: base})
	if err != nil {
		b.Fatal(err)
	}
	defer sh.Close()
	for name, rt := range map[string]http.RoundTripper{"without": base, "with": sh} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					exchange(b, rt, "http://a.example/")
				}
			})
		})
	}
}

// BenchmarkRequest is a request over loopback, with and without the wrapper.
func BenchmarkRequest(b *testing.B) {
	s := serve(b, "h1", waiting)
	for _, name := range []string{"without", "with"} {
		b.Run(name, func(b *testing.B) {
			var rt http.RoundTripper = s.likeDefault(b)
			if name == "with" {
				rt = watch(b, rt)
			}
			b.ReportAllocs()
			for b.Loop() {
				exchange(b, rt, "http://a.example/")
			}
		})
	}
}

func exchange(b *testing.B, rt http.RoundTripper, url string) {
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, nil)
	if err != nil {
		b.Fatal(err)
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		b.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
}

// callHooks calls what net/http calls for a reused connection.
func callHooks(req *http.Request) {
	trace := httptrace.ContextClientTrace(req.Context())
	if trace == nil {
		return
	}
	trace.GetConn("a.example:80")
	trace.GotConn(httptrace.GotConnInfo{Reused: true})
	trace.WroteRequest(httptrace.WroteRequestInfo{})
	trace.PutIdleConn(nil)
}
