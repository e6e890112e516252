package transport_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/internal/netlab"
	"github.com/stayopen-go/stayopen/transport"
)

const (
	burstSize  = 200
	burstPause = 50 * time.Millisecond // from the last answer of a burst to the next burst
)

// TestBurstsWithAThousandLocalPortsNeverFailToDial has a thousand ports for all
// connections to its server, and a kernel that gives none of them out again for
// a minute after a TIME_WAIT. Loopback is no place for this: there, Linux does.
func TestBurstsWithAThousandLocalPortsNeverFailToDial(t *testing.T) {
	lasts := 30 * time.Second
	if testing.Short() {
		lasts = 3 * time.Second
	}
	t.Run("stayopen", func(t *testing.T) {
		inPortLab(t, func(t *testing.T, url string) {
			tr := newTransport(t, transport.Config{})
			b := burstLoad{client: &http.Client{Transport: tr}, url: url}
			for began := time.Now(); time.Since(began) < lasts; {
				b.send()
				if err := b.err(); err != nil {
					t.Fatalf("in burst %d: %v, want no failure", b.sent, err)
				}
			}
			st := tr.Stats()
			timeWaits := netlab.Count(t, func(s netlab.Socket) bool { return s.State == netlab.TimeWait })
			t.Logf("%d bursts; %+v; the kernel has %d TIME_WAITs", b.sent, st, timeWaits)
			want := fmt.Sprintf("%d accepted, %d answered", st.Opened, st.Exchanges)
			await(t, "the server to have "+want+", as Stats has it", func() bool {
				got, _ := mustGet(t, b.client, url+"/counts")
				return got == want
			})
			if timeWaits > int(st.TimeWaits) {
				t.Errorf("the kernel has %d TIME_WAITs, more than the %d that Stats counts", timeWaits, st.TimeWaits)
			}
		})
	})
	t.Run("http.Transport", func(t *testing.T) {
		inPortLab(t, func(t *testing.T, url string) {
			plain := http.DefaultTransport.(*http.Transport).Clone()
			defer plain.CloseIdleConnections()
			b := burstLoad{client: &http.Client{Transport: plain}, url: url}
			for began := time.Now(); time.Since(began) < lasts; {
				b.send()
				if err := b.err(); errors.Is(err, syscall.EADDRNOTAVAIL) {
					t.Logf("after %v, in burst %d: %v", time.Since(began), b.sent, err)
					return
				}
			}
			t.Errorf("%d bursts without %v: the run is void", b.sent, syscall.EADDRNOTAVAIL)
		})
	})
}

// burstLoad is bursts of concurrent GETs of one URL.
type burstLoad struct {
	client *http.Client
	url    string
	sent   int

	mu    sync.Mutex // guards first
	first error
}

// send sends a burst, and waits until it is time for the next.
func (b *burstLoad) send() {
	b.sent++
	var wg sync.WaitGroup
	for range burstSize {
		wg.Go(func() {
			if _, _, err := get(b.client, b.url); err != nil {
				b.mu.Lock()
				defer b.mu.Unlock()
				if b.first == nil {
					b.first = err
				}
			}
		})
	}
	wg.Wait()
	<-time.After(burstPause)
}

// err is the first error that there was.
func (b *burstLoad) err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.first
}

// inPortLab runs test in a namespace with a thousand local ports, next to one
// with a server.
func inPortLab(t *testing.T, test func(t *testing.T, url string)) {
	switch {
	case !netlab.Inside():
		lab := netlab.New(t)
		lab.Sysctl(lab.Client, "net/ipv4/ip_local_port_range", "20000 20999")
		lab.Sysctl(lab.Client, "net/ipv4/tcp_tw_reuse", "0")
		addr := lab.Start(t, lab.Server, "PORTS_ROLE=server")
		lab.Rerun(t, lab.Client, "PORTS_SERVER="+addr)
	case os.Getenv("PORTS_ROLE") == "server":
		servePorts(t)
	default:
		test(t, "http://"+os.Getenv("PORTS_SERVER"))
	}
}

// servePorts is a server that tells, when asked, how often it has accepted and,
// without that time, answered.
func servePorts(t *testing.T) {
	var accepts, answers atomic.Int64
	l, err := net.Listen("tcp", net.JoinHostPort(netlab.ServerAddr.String(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/counts" {
			fmt.Fprintf(w, "%d accepted, %d answered", accepts.Load(), answers.Load())
			return
		}
		io.WriteString(w, "hello")
		answers.Add(1)
	})}
	done := make(chan struct{})
	go func() { // ends when s is closed
		defer close(done)
		s.Serve(countingListener{l, &accepts})
	}()
	netlab.Hold(l.Addr().String())
	s.Close()
	<-done
}
