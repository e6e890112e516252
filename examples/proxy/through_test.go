package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/websocket"
)

func writePEM(t *testing.T, der []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// overEach runs the test with an upstream of each kind.
func overEach(t *testing.T, h http.HandlerFunc, test func(t *testing.T, r *running, proto string)) {
	t.Run("http", func(t *testing.T) {
		test(t, startProxy(t, "-upstream="+startBackend(t, h).url()), "HTTP/1.1")
	})
	t.Run("https", func(t *testing.T) { test(t, startProxy(t, secureBackend(t, false, h)...), "HTTP/1.1") })
	t.Run("HTTP2", func(t *testing.T) { test(t, startProxy(t, secureBackend(t, true, h)...), "HTTP/2.0") })
}

func TestTheUpstreamLearnsWhoTheClientIsAndNothingThatItMakesUp(t *testing.T) {
	overEach(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Alt-Svc", `h2=":1"`)
		fmt.Fprint(w, r.Proto, r.Host, r.URL, r.Header["X-Forwarded-For"], r.Header["X-Forwarded-Host"], r.Header["X-Forwarded-Proto"], r.Header["Forwarded"], r.Header["User-Agent"], r.Header["Accept-Encoding"])
	}, func(t *testing.T, r *running, proto string) {
		req, _ := http.NewRequest("GET", r.url+"/a%2Fb?c=d", nil)
		req.Host = "shop.example.org"
		req.Header = http.Header{"X-Forwarded-For": {"192.0.2.1"}, "Forwarded": {"for=192.0.2.1"}, "User-Agent": {"test"}}
		got, err := readAll(r.client.Do(req))
		want := proto + "shop.example.org/a%2Fb?c=d [127.0.0.1] [shop.example.org] [http] [] [test] []"
		if err != nil || got != want {
			t.Errorf("the upstream saw %q, %v, want %q", got, err, want)
		}
	})
}

func TestAnUpstreamMayHaveAPath(t *testing.T) {
	b := startBackend(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.String()) })
	r := startProxy(t, "-upstream="+b.url()+"/base/")
	if got, _ := r.get(t, "/x?y=1"); got != "/base/x?y=1" {
		t.Errorf("the upstream was asked for %q, want /base/x?y=1", got)
	}
}

func TestSixteenMegabytesArriveAsTheyWereInBothDirections(t *testing.T) {
	payload := make([]byte, 16<<20)
	rand.NewChaCha8([32]byte{1}).Read(payload)
	overEach(t, func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		if _, err := io.Copy(sum, r.Body); err != nil {
			return
		}
		w.Header().Set("Sum", hex.EncodeToString(sum.Sum(nil)))
		w.Write(payload)
	}, func(t *testing.T, r *running, _ string) {
		for _, length := range []int64{int64(len(payload)), -1} {
			req, _ := http.NewRequest("POST", r.url, io.NopCloser(bytes.NewReader(payload)))
			req.ContentLength = length
			resp, err := r.client.Do(req)
			got, err := readAll(resp, err)
			if err != nil || got != string(payload) {
				t.Fatalf("length %d: got %d bytes, %v, want the %d that were sent", length, len(got), err, len(payload))
			}
			if sum := sha256.Sum256(payload); resp.Header.Get("Sum") != hex.EncodeToString(sum[:]) {
				t.Errorf("length %d: the upstream got something else than was sent", length)
			}
		}
	})
}

// echo sends back what comes, while it comes.
func echo(w http.ResponseWriter, r *http.Request) {
	http.NewResponseController(w).EnableFullDuplex()
	io.Copy(w, r.Body)
}

func TestBothDirectionsFlowAtOnce(t *testing.T) {
	overEach(t, echo, func(t *testing.T, r *running, _ string) {
		for range 3 { // the later ones on the same connection
			text := strings.Repeat("body", 1<<20)
			if got, err := readAll(r.client.Post(r.url, "", io.MultiReader(strings.NewReader(text)))); err != nil || got != text {
				t.Fatalf("got %d bytes, %v, want the %d that were sent", len(got), err, len(text))
			}
		}
	})
}

func TestABodyThatNobodyReadsDoesNotHarmTheNextRequest(t *testing.T) {
	dead := startBackend(t, said("a"))
	dead.kill()
	refuses := startBackend(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusForbidden) })
	for _, url := range []string{dead.url(), refuses.url()} {
		r := startProxy(t, "-upstream="+url)
		c := dialProxy(t, r)
		answers := bufio.NewReader(c)
		for range 3 {
			io.WriteString(c, "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\n"+strings.Repeat("x", 100_000))
			resp, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatalf("%v; the proxy wrote %q", err, r.logged)
			}
			io.Copy(io.Discard, resp.Body)
		}
		if strings.Contains(r.logged.String(), "panic") {
			t.Errorf("the proxy wrote %q, want no panic", r.logged)
		}
	}
}

func TestAStreamArrivesLineByLine(t *testing.T) {
	read := make(chan struct{}) // the client has read a line
	overEach(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n", i)
			http.NewResponseController(w).Flush()
			select {
			case <-read:
			case <-r.Context().Done():
				return
			}
		}
	}, func(t *testing.T, r *running, _ string) {
		resp, err := r.client.Get(r.url)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		lines := bufio.NewReader(resp.Body)
		for i := range 3 {
			if got, err := lines.ReadString('\n'); got != fmt.Sprintf("data: %d\n", i) {
				t.Fatalf("got %q, %v, want line %d before the next is written", got, err, i)
			}
			read <- struct{}{}
		}
		if _, err := lines.ReadByte(); err != io.EOF {
			t.Errorf("got %v at the end, want io.EOF", err)
		}
	})
}

func TestTrailersAndEarlyHintsPass(t *testing.T) {
	overEach(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Trailer", "Sum")
		io.WriteString(w, "text")
		http.NewResponseController(w).Flush()
		w.Header().Set("Sum", "42")
	}, func(t *testing.T, r *running, _ string) {
		var hints []string
		req, _ := http.NewRequest("GET", r.url, nil)
		req = req.WithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				hints = append(hints, fmt.Sprint(code, h["Link"]))
				return nil
			},
		}))
		resp, err := r.client.Do(req)
		if got, err := readAll(resp, err); err != nil || got != "text" {
			t.Fatalf("got %q, %v, want text", got, err)
		}
		if got := resp.Trailer.Get("Sum"); got != "42" {
			t.Errorf("got a trailer of %q, want 42", got)
		}
		if len(hints) != 1 || hints[0] != "103 [</style.css>; rel=preload]" {
			t.Errorf("got hints %q, want one", hints)
		}
	})
}

func TestAWebSocketPasses(t *testing.T) {
	overEach(t, echoMessages, func(t *testing.T, r *running, _ string) {
		c, err := websocket.Dial(strings.Replace(r.url, "http", "ws", 1), "", r.url)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			say(t, c, fmt.Sprint("message ", i))
		}
		c.Close()
		if out := r.stop(); out.Upgraded != 1 || out.Requests != 1 || out.Failed+out.Gone+out.UpgradesCut != 0 {
			t.Errorf("got %+v, want one upgrade", out.counts)
		}
	})
}

func echoMessages(w http.ResponseWriter, r *http.Request) {
	websocket.Handler(func(c *websocket.Conn) { io.Copy(c, c) }).ServeHTTP(w, r)
}

// say sends a message and waits for its echo.
func say(t *testing.T, c *websocket.Conn, message string) {
	t.Helper()
	var got string
	if err := websocket.Message.Send(c, message); err != nil {
		t.Fatal(err)
	}
	if err := websocket.Message.Receive(c, &got); err != nil || got != message {
		t.Fatalf("got an echo of %q, %v, want %q", got, err, message)
	}
}

func TestARequestThatIsGivenUpEndsAtTheUpstreamAndIsNoFailure(t *testing.T) {
	there, gone := make(chan struct{}, 1), make(chan struct{}, 1)
	overEach(t, func(w http.ResponseWriter, r *http.Request) {
		there <- struct{}{}
		<-r.Context().Done()
		gone <- struct{}{}
	}, func(t *testing.T, r *running, _ string) {
		c := dialProxy(t, r)
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: test\r\n\r\n")
		<-there
		c.Close()
		<-gone
		if out := r.stop(); out.Gone != 1 || out.Failed != 0 || out.Upstreams[0].State != "up" {
			t.Errorf("got %+v of %+v, want one that its client gave up", out.counts, out.Upstreams)
		}
	})
}

func TestABrokenAnswerIsAFailureAndBreaksTheClientsConnection(t *testing.T) {
	overEach(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "half")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}, func(t *testing.T, r *running, _ string) {
		got, err := readAll(r.client.Get(r.url))
		if got != "half" || err == nil {
			t.Errorf("got %q, %v, want half of an answer and an error", got, err)
		}
		if out := r.stop(); out.Failed != 1 || out.Gone != 0 {
			t.Errorf("got %+v, want one failure", out.counts)
		}
	})
}
