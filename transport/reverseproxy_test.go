package transport_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/stayopen-go/stayopen/transport"
)

// backend is the server behind a reverse proxy. Its log is what the test
// believes.
type backend struct {
	*server
	acks sync.Map // chan struct{} by request id: the client has read a line

	mu  sync.Mutex
	log map[string][]string // what happened, by request id
}

func (b *backend) note(id, what string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.log[id] = append(b.log[id], what)
}

func (b *backend) noted(id string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.log[id], ", ")
}

// ack is the channel on which the client of a stream says that it has a line.
func (b *backend) ack(id string) chan struct{} {
	ch, _ := b.acks.LoadOrStore(id, make(chan struct{}))
	return ch.(chan struct{})
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get("Id")
	b.note(id, r.URL.Path)
	switch r.URL.Path {
	case "/plain":
		io.WriteString(w, id)
	case "/trailers":
		n, err := io.Copy(io.Discard, r.Body)
		b.note(id, fmt.Sprint(n, err))
		w.Header().Set("Trailer", "Got")
		http.NewResponseController(w).Flush() // without a length, or HTTP/1 has no room for trailers
		io.WriteString(w, id)
		w.Header().Set("Got", fmt.Sprint(n))
	case "/stream":
		for i := range streamLines {
			fmt.Fprintf(w, "%s line %d\n", id, i)
			http.NewResponseController(w).Flush()
			<-b.ack(id)
		}
	case "/websocket":
		upgrades(w, r)
	case "/gone":
		fmt.Fprintln(w, "first")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	b.note(id, "done")
}

const streamLines = 3

// errands are what clients ask of a back-end, each with the log that an errand
// done once leaves there.
var errands = []struct {
	path, log string
	run       func(b *backend, rt http.RoundTripper, req *http.Request) error
}{
	{"/plain", "/plain, done", func(_ *backend, rt http.RoundTripper, req *http.Request) error {
		body, _, err := get1(rt, req)
		return wantBody(body, req.Header.Get("Id"), err)
	}},
	{"/trailers", "/trailers, 100000 <nil>, done", func(_ *backend, rt http.RoundTripper, req *http.Request) error {
		req.Method = "POST"
		req.Body = io.NopCloser(io.LimitReader(zeros{}, 100_000))
		req.ContentLength = -1
		body, resp, err := get1(rt, req)
		if err == nil && resp.Trailer.Get("Got") != "100000" {
			err = fmt.Errorf("trailers: %v", resp.Trailer)
		}
		return wantBody(body, req.Header.Get("Id"), err)
	}},
	{"/stream", "/stream, done", func(b *backend, rt http.RoundTripper, req *http.Request) error {
		id := req.Header.Get("Id")
		resp, err := rt.RoundTrip(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		lines := bufio.NewReader(resp.Body)
		for i := range streamLines {
			line, err := lines.ReadString('\n')
			if err := wantBody(line, fmt.Sprintf("%s line %d\n", id, i), err); err != nil {
				return err
			}
			b.ack(id) <- struct{}{} // not before this does the back-end write on
		}
		_, err = lines.ReadByte()
		if err == io.EOF {
			err = nil
		}
		return err
	}},
	{"/websocket", "/websocket, done", func(_ *backend, rt http.RoundTripper, req *http.Request) error {
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "websocket")
		u, err := tryUpgrade(rt, req)
		if err != nil {
			return err
		}
		defer u.Close()
		return errors.Join(u.tryExpect("welcome"), u.tryEcho("one"), u.tryEcho("two"))
	}},
	{"/gone", "/gone, done", func(_ *backend, rt http.RoundTripper, req *http.Request) error {
		ctx, cancel := context.WithCancel(req.Context())
		defer cancel()
		resp, err := rt.RoundTrip(req.WithContext(ctx))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		defer cancel() // before Close, which might wait for the rest
		line, err := bufio.NewReader(resp.Body).ReadString('\n')
		return wantBody(line, "first\n", err)
	}},
}

// costly is how many of the errands end with the connection, on HTTP/1: the
// upgrade and the client that goes away.
const costly = 2

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func wantBody(got, want string, err error) error {
	if err == nil && got != want {
		err = fmt.Errorf("got %q, want %q", got, want)
	}
	return err
}

// relay is a reverse proxy in front of a back-end, and a client before both.
type relay struct {
	back   *backend
	url    string
	client *http.Transport
}

func newRelay(t *testing.T, frontMode string, b *backend, rt http.RoundTripper) *relay {
	t.Helper()
	target, err := url.Parse(b.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Transport: rt,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ErrorLog:  log.New(io.Discard, "", 0), // clients that went away
	}
	var there [bursts]sync.WaitGroup
	for i := range there {
		there[i].Add(concurrent)
	}
	front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		burst, err := strconv.Atoi(r.Header.Get("Burst"))
		if err != nil {
			panic(err)
		}
		there[burst].Done()
		there[burst].Wait() // all at once, which is what a burst is
		proxy.ServeHTTP(w, r)
	}))
	front.EnableHTTP2 = frontMode == "h2"
	if frontMode == "h1" {
		front.Start()
	} else {
		front.TLS = &tls.Config{Certificates: []tls.Certificate{peerIdentity().cert}, CurvePreferences: peerCurves}
		front.StartTLS()
	}
	t.Cleanup(front.Close)
	client := trusting(frontMode)
	client.MaxIdleConnsPerHost = 1000
	t.Cleanup(client.CloseIdleConnections)
	return &relay{b, front.URL, client}
}

const (
	concurrent = 64
	bursts     = 3
)

// run sends bursts of requests, and returns what was wrong with them.
func (r *relay) run(t *testing.T) []error {
	var mu sync.Mutex
	var wrong []error
	complain := func(id string, err error) {
		mu.Lock()
		wrong = append(wrong, fmt.Errorf("request %s: %w", id, err))
		mu.Unlock()
	}
	for burst := range bursts {
		var wg sync.WaitGroup
		for worker := range concurrent {
			wg.Go(func() {
				e := errands[worker%len(errands)]
				id := fmt.Sprintf("%s-%d-%d", e.path, burst, worker)
				req, err := http.NewRequest("GET", r.url+e.path, nil)
				if err != nil {
					complain(id, err)
					return
				}
				req.Header.Set("Id", id)
				req.Header.Set("Burst", strconv.Itoa(burst))
				if err := e.run(r.back, r.client, req); err != nil {
					complain(id, err)
				}
			})
		}
		wg.Wait()
	}
	for burst := range bursts {
		for worker := range concurrent {
			e := errands[worker%len(errands)]
			id := fmt.Sprintf("%s-%d-%d", e.path, burst, worker)
			await(t, "the back-end to have done with "+id, func() bool { return strings.HasSuffix(r.back.noted(id), "done") })
			if got := r.back.noted(id); got != e.log {
				complain(id, fmt.Errorf("the back-end's log says %q, want %q", got, e.log))
			}
		}
	}
	return wrong
}

// The fault of http.Transport in this program is that it opens connections by
// the hundred: over HTTP/1 it keeps 2 per host between the bursts and closes
// the rest, and over HTTP/2 it dials once for every request that finds no
// connection, to throw all but one away.
func TestReverseProxyKeepsItsConnectionsAndLosesNothing(t *testing.T) {
	for _, hop := range []struct{ front, back string }{{"h1", "h1"}, {"h2", "https1"}, {"h1", "h2"}, {"h2", "h2"}} {
		t.Run(hop.front+" to "+hop.back, func(t *testing.T) {
			ignore := goleak.IgnoreCurrent()
			t.Cleanup(func() { goleak.VerifyNone(t, ignore) }) // the first is the last: all is closed by then

			// Every upgrade takes a connection with it, and over HTTP/1 so does
			// every client that goes away; apart from these, those of one burst
			// serve all others.
			upgrades := int64(bursts * ((concurrent + 1) / len(errands)))
			most := int64(concurrent) + costly*upgrades
			if hop.back == "h2" {
				// One would do, but a dial that takes long lets another begin, and
				// this machine may be busy.
				most = 8 + upgrades
			}

			theirs := newBackend(t, hop.back)
			plain := distant(theirs.template(hop.back))
			t.Cleanup(plain.CloseIdleConnections)
			newRelay(t, hop.front, theirs, plain).run(t)
			if got := theirs.accepts.Load(); got <= most {
				t.Errorf("void: http.Transport opened %d connections, which is not more than the %d that would do", got, most)
			}

			b := newBackend(t, hop.back)
			tr := newTransport(t, transport.Config{Template: distant(b.template(hop.back))})
			wrong := newRelay(t, hop.front, b, tr).run(t)
			if len(wrong) > 0 {
				t.Errorf("%d of %d requests went wrong: %v", len(wrong), concurrent*bursts, errors.Join(wrong[:min(len(wrong), 8)]...))
			}
			// Dials whose requests were served sooner go on, and a client that has
			// gone is noticed by the back-end first.
			await(t, "every lease, wait and dial to end", func() bool {
				st := tr.Stats()
				return st.Active == 0 && st.Waiting == 0 && st.Dialing == 0 && st.Idle == st.Open
			})
			got := b.accepts.Load()
			t.Logf("connections opened: %d by stayopen, %d by http.Transport, at most %d needed", got, theirs.accepts.Load(), most)
			if got > most {
				t.Errorf("%d connections were opened, want at most %d", got, most)
			}
			st := tr.Stats()
			if st.Exchanges != concurrent*bursts || st.Exchanges != uint64(b.answers.Load()) || st.Opened != uint64(got) || st.Served != uint64(b.served()) {
				t.Errorf("%d exchanges on %d of %d connections, want what the back-end counted: %d on %d of %d",
					st.Exchanges, st.Served, st.Opened, b.answers.Load(), b.served(), got)
			}
		})
	}
}

// distant makes connections take as long as to a server in another town, so that
// a burst is there before the first of them.
func distant(tmpl *http.Transport) *http.Transport {
	tmpl.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		<-time.After(20 * time.Millisecond)
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	return tmpl
}

func newBackend(t *testing.T, mode string) *backend {
	b := &backend{log: make(map[string][]string)}
	b.server = serve(t, mode, b)
	return b
}
