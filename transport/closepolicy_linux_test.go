package transport_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/internal/netlab"
	"github.com/stayopen-go/stayopen/transport"
)

// closeLoad is a way to use connections up.
type closeLoad struct {
	name string
	cfg  transport.Config
	// aged has http.Transport close its idle connections every closeAge, since it
	// knows no age.
	aged bool
	send func(t *testing.T, c *http.Client, url string, n int)
	// share is how many of http.Transport's TIME_WAITs stayopen may leave.
	share float64
}

// closeRequests are the requests of a load.
const closeRequests = 1000

const closeAge = 100 * time.Millisecond

var closeLoads = []closeLoad{
	{name: "bursts of 100", send: func(t *testing.T, c *http.Client, url string, n int) {
		for ; n > 0; n -= 100 {
			inParallel(t, 100, 100, func(int) error { return closeGet(c, url+"/slow") })
		}
	}},
	{name: "5 % canceled in the middle of the response", send: oneIn(20, func(c *http.Client, url string) error {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		return closeBegin(ctx, c, url+"/endless", func(io.Closer) { cancel() })
	})},
	{name: "5 % of the bodies abandoned", send: oneIn(20, func(c *http.Client, url string) error {
		return closeBegin(context.Background(), c, url+"/endless", func(body io.Closer) { body.Close() })
	})},
	{name: "10 % with Connection: close from the server", send: oneIn(10, func(c *http.Client, url string) error {
		return closeGet(c, url+"/close")
	})},
	{name: "10 % of these, without a body", send: oneIn(10, func(c *http.Client, url string) error {
		return closeGet(c, url+"/close/204")
	})},
	{name: "10 % with Connection: close from the client", send: oneIn(10, func(c *http.Client, url string) error {
		req, err := http.NewRequest("GET", url+"/", nil)
		if err != nil {
			return err
		}
		req.Close = true
		return closeDo(c, req)
	})},
	// Those that are idle when their time comes are closed by FIN, since the peer
	// has no reason to: a few of them are.
	{name: "retired after 100 ms", cfg: transport.Config{MaxConnAge: closeAge}, aged: true, send: paced, share: 0.5},
	{name: "retired after 100 ms, idle ones by reset", cfg: transport.Config{
		MaxConnAge: closeAge, ClosePolicy: transport.ClosePolicy{ResetIdle: transport.ResetAlways},
	}, aged: true, send: paced},
}

// TestTimeWaitsPerTenThousandRequests counts what the kernel keeps of a load's
// connections, next to http.Transport as it is by default, over a network on
// which no port in TIME_WAIT is used again.
func TestTimeWaitsPerTenThousandRequests(t *testing.T) {
	inCloseLab(t, func(t *testing.T, urls [2]string) {
		var table strings.Builder
		fmt.Fprintf(&table, "\n%-46s %-6s %13s %9s %8s %9s\n", "TIME_WAITs per 10,000 requests", "", "http.Transport", "stayopen", "(Stats)", "opened")
		for _, l := range closeLoads {
			for i, mode := range []string{"plain", "TLS"} {
				theirs := l.runPlain(t, urls[i])
				ours, st := l.run(t, urls[i])
				const scale = 10000 / closeRequests
				fmt.Fprintf(&table, "%-46s %-6s %13d %9d %8d %9d\n", l.name, mode, scale*theirs, scale*ours, scale*st.TimeWaits, scale*st.Opened)
				if float64(ours) > l.share*float64(theirs) || int(st.TimeWaits) < ours {
					t.Errorf("%s, %s: %d TIME_WAITs in the kernel, %d in Stats, want at most %v of http.Transport's %d, and in Stats no fewer", l.name, mode, ours, st.TimeWaits, l.share, theirs)
				}
				if mode == "plain" && theirs < 10 {
					t.Errorf("%s: %d TIME_WAITs of http.Transport's: the run is void", l.name, theirs)
				}
			}
		}
		t.Log(table.String())
	})
}

// run returns how many TIME_WAITs the load has left behind.
func (l closeLoad) run(t *testing.T, url string) (int, transport.Stats) {
	t.Helper()
	l.cfg.Template = closeTemplate()
	tr := newTransport(t, l.cfg)
	before := timeWaits(t)
	l.send(t, &http.Client{Transport: tr}, url, closeRequests)
	awaitCounted(t, tr)
	awaitFins(t)
	left, st := timeWaits(t)-before, tr.Stats()
	tr.Close()
	awaitNone(t, func() {})
	return left, st
}

func (l closeLoad) runPlain(t *testing.T, url string) int {
	t.Helper()
	tr := closeTemplate()
	// What is idle by then would be counted as the next run's.
	defer awaitNone(t, tr.CloseIdleConnections)
	before := timeWaits(t)
	if l.aged {
		tick, stop := time.NewTicker(closeAge), make(chan struct{})
		var closing sync.WaitGroup
		closing.Go(func() { // ends with the load
			for {
				select {
				case <-tick.C:
					tr.CloseIdleConnections()
				case <-stop:
					return
				}
			}
		})
		defer closing.Wait()
		defer close(stop)
		defer tick.Stop()
	}
	l.send(t, &http.Client{Transport: tr}, url, closeRequests)
	awaitFins(t)
	return timeWaits(t) - before
}

// closeTemplate is http.DefaultTransport, which trusts anybody.
func closeTemplate() *http.Transport {
	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.DialContext, tr.Proxy, tr.ForceAttemptHTTP2 = nil, nil, false
	tr.TLSClientConfig = &tls.Config{InsecureSkipVerify: true, CurvePreferences: peerCurves}
	return tr
}

// awaitFins waits until no connection is half closed.
func awaitFins(t *testing.T) {
	t.Helper()
	await(t, "the peer's FINs", func() bool {
		return netlab.Count(t, func(s netlab.Socket) bool {
			return s.State != netlab.Established && s.State != netlab.TimeWait && s.State != netlab.Listen
		}) == 0
	})
}

// awaitNone calls closeIdle until no connection is left, but TIME_WAITs.
func awaitNone(t *testing.T, closeIdle func()) {
	t.Helper()
	await(t, "the end of all connections", func() bool {
		closeIdle()
		return netlab.Count(t, func(s netlab.Socket) bool {
			return s.State != netlab.TimeWait && s.State != netlab.Listen
		}) == 0
	})
}

// timeWaits is how many TIME_WAITs there have been whenever it was called. One that
// has ended counts on: after a minute each does, which a slow test may well take.
func timeWaits(t *testing.T) int {
	t.Helper()
	return timeWaitsSeen.count(t, func(netlab.Socket) bool { return true })
}

var timeWaitsSeen = newTimeWaitCensus()

// oneIn has every nth request be special, and 20 at once.
func oneIn(nth int, special func(c *http.Client, url string) error) func(*testing.T, *http.Client, string, int) {
	return func(t *testing.T, c *http.Client, url string, n int) {
		inParallel(t, 20, n, func(i int) error {
			if i%nth == 0 {
				return special(c, url)
			}
			return closeGet(c, url+"/")
		})
	}
}

// paced is five workers that pause, for a second in all.
func paced(t *testing.T, c *http.Client, url string, n int) {
	inParallel(t, 5, n, func(int) error {
		<-time.After(5 * time.Second / time.Duration(n))
		return closeGet(c, url+"/")
	})
}

// inParallel calls f for 0 to n-1, from so many workers.
func inParallel(t *testing.T, workers, n int, f func(i int) error) {
	t.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := next.Add(1) - 1; int(i) < n; i = next.Add(1) - 1 {
				if err := f(int(i)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func closeGet(c *http.Client, url string) error {
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		return err
	}
	return closeDo(c, req)
}

func closeDo(c *http.Client, req *http.Request) error {
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// closeBegin gets a response, reads a little of it, and then lets end end it.
func closeBegin(ctx context.Context, c *http.Client, url string, end func(io.Closer)) error {
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, 1000)); err != nil {
		return err
	}
	end(resp.Body)
	return nil
}

// inCloseLab runs test in a namespace next to one with a server, plain and TLS.
func inCloseLab(t *testing.T, test func(t *testing.T, urls [2]string)) {
	switch {
	case !netlab.Inside():
		lab := netlab.New(t)
		lab.Sysctl(lab.Client, "net/ipv4/tcp_tw_reuse", "0")
		lab.Sysctl(lab.Client, "net/ipv4/ip_local_port_range", "20000 59999")
		addrs := lab.Start(t, lab.Server, "CLOSE_ROLE=server")
		lab.Rerun(t, lab.Client, "CLOSE_SERVERS="+addrs)
	case os.Getenv("CLOSE_ROLE") == "server":
		serveCloses(t)
	default:
		plain, secure, _ := strings.Cut(os.Getenv("CLOSE_SERVERS"), " ")
		test(t, [2]string{"http://" + plain, "https://" + secure})
	}
}

// serveCloses is net/http's server, without and with TLS.
func serveCloses(t *testing.T) {
	s := &http.Server{
		Handler:   http.HandlerFunc(answerClose),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{peerIdentity().cert}, CurvePreferences: peerCurves, NextProtos: []string{"http/1.1"}},
	}
	var addrs []string
	var serving sync.WaitGroup
	for _, serve := range []func(net.Listener) error{s.Serve, func(l net.Listener) error { return s.ServeTLS(l, "", "") }} {
		l, err := net.Listen("tcp", net.JoinHostPort(netlab.ServerAddr.String(), "0"))
		if err != nil {
			t.Fatal(err)
		}
		addrs = append(addrs, l.Addr().String())
		serving.Go(func() { serve(l) }) // ends when s is closed
	}
	netlab.Hold(strings.Join(addrs, " "))
	s.Close()
	serving.Wait()
}

func answerClose(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/slow":
		<-time.After(5 * time.Millisecond)
	case "/endless":
		io.Copy(w, zeros{})
		return
	case "/close":
		w.Header().Set("Connection", "close")
	case "/close/204":
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	io.WriteString(w, "hello")
}

// Idle connections are closed by FIN, or by RST where that is asked for or where
// local ports are short.
func TestIdleConnectionsAreResetOnRequestOrWhenPortsAreShort(t *testing.T) {
	ports := dialer.PortRange{Lo: 20100, Hi: 20249}
	source := []netip.Prefix{netip.PrefixFrom(netlab.ClientAddr, 32)}
	inCloseLab(t, func(t *testing.T, urls [2]string) {
		for _, c := range []struct {
			name   string
			dialer dialer.Dialer
			policy transport.ClosePolicy
			most   int // of the plain connections, as many as there are at most are left in TIME_WAIT
		}{
			{"never", dialer.Dialer{}, transport.ClosePolicy{ResetIdle: transport.ResetNever}, 1000},
			{"always", dialer.Dialer{}, transport.ClosePolicy{ResetIdle: transport.ResetAlways}, 0},
			{"when short, and nobody knows", dialer.Dialer{}, transport.ClosePolicy{}, 1000},
			{"when short, and they are not", dialer.Dialer{Sources: source}, transport.ClosePolicy{}, 1000},
			// Once fewer than half of them are in use, they are not short any more.
			{"when short, and they are", dialer.Dialer{Sources: source, PortRange: ports}, transport.ClosePolicy{}, 74},
		} {
			for i, mode := range []string{"plain", "TLS"} {
				// A server that is busy with handshakes may take its time.
				c.policy.PeerFirst = 8 * time.Second
				tr := newTransport(t, transport.Config{Template: closeTemplate(), Dialer: &c.dialer, ClosePolicy: c.policy, MaxDialsPerHost: -1})
				before := timeWaits(t)
				inParallel(t, 100, 100, func(int) error { return closeGet(&http.Client{Transport: tr}, urls[i]+"/slow") })
				tr.CloseIdleConnections()
				awaitCounted(t, tr)
				awaitFins(t)
				st, got := tr.Stats(), timeWaits(t)-before
				t.Logf("%s, %s: %d of %d connections left a TIME_WAIT", c.name, mode, got, st.Opened)
				want := 0
				if mode == "plain" {
					want = min(c.most, int(st.Opened))
				}
				// Closes that run side by side may find ports short for longer.
				if got > want || (got == 0) != (want == 0) || int(st.TimeWaits) != got {
					t.Errorf("%s, %s: %d TIME_WAITs in the kernel, %d in Stats, want as many, and at most %d", c.name, mode, got, st.TimeWaits, want)
				}
			}
		}
	})
}

// With no time to wait for the peer, TLS says goodbye and resets, too. (HTTP/2 as
// well, when what it has sent after the response is acknowledged: soon after.)
func TestCloseResetsIdleConnectionsOnRequest(t *testing.T) {
	for _, mode := range []string{"h1", "https1"} {
		for _, reset := range []transport.ResetIdle{transport.ResetAlways, transport.ResetNever} {
			s := serve(t, mode, http.NotFoundHandler())
			tr := newTransport(t, transport.Config{Template: s.template(mode), ClosePolicy: transport.ClosePolicy{ResetIdle: reset}})
			mustGet(t, &http.Client{Transport: tr}, s.URL)
			await(t, "the connection to be idle", func() bool { return tr.Stats().Idle == 1 })
			tr.Close()
			got := tr.Stats()
			if got.Closed != 1 || reset == transport.ResetAlways && got.TimeWaits != 0 {
				t.Errorf("%s, %v: %d closed, %d TIME_WAITs counted, want 1 and 0", mode, reset, got.Closed, got.TimeWaits)
			}
			if reset == transport.ResetNever && mode == "h1" && got.TimeWaits != 1 {
				t.Errorf("%d TIME_WAITs counted where nothing is reset, want 1", got.TimeWaits)
			}
		}
	}
}
