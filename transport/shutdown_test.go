package transport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/stayopen-go/stayopen/transport"
)

// gated answers requests when a test lets it: the header, then the body.
type gated struct{ header, body chan struct{} }

func newGated() *gated { return &gated{make(chan struct{}), make(chan struct{})} }

func (g *gated) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	wait := func(ch chan struct{}) {
		select {
		case <-ch:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler) // an end in good order might still arrive
		}
	}
	wait(g.header)
	io.WriteString(w, "some")
	http.NewResponseController(w).Flush()
	wait(g.body)
	io.WriteString(w, "thing")
}

// result is what became of a request in a goroutine of its own.
type result struct {
	body string
	err  error
}

func inBackground(t *testing.T, rt http.RoundTripper, url string) <-chan result {
	ch := make(chan result, 1)
	req := newRequest(t, "GET", url, nil)
	go func() {
		body, _, err := get1(rt, req)
		ch <- result{body, err}
	}()
	synctest.Wait()
	return ch
}

func (r result) is(t *testing.T, what, body string, err error) {
	t.Helper()
	if r.body != body || !errors.Is(r.err, err) {
		t.Errorf("%s: got %q, %v, want %q, %v", what, r.body, r.err, body, err)
	}
}

func TestShutdownLetsRequestsFinishAndRefusesNewOnes(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		synctest.Test(t, func(t *testing.T) {
			g, m := newGated(), newMemory()
			s, tmpl := m.serve(t, mode, g)
			tmpl.MaxConnsPerHost = 1
			meter := newMeter(t)
			tr := newTransport(t, transport.Config{Template: tmpl, MeterProvider: meter.provider})
			running := inBackground(t, tr, s.URL)
			waiting := inBackground(t, tr, s.URL) // over HTTP/2 it runs too

			ended := make(chan error, 1)
			go func() { ended <- tr.Shutdown(context.Background()) }()
			synctest.Wait()
			(<-inBackground(t, tr, s.URL)).is(t, "a request after Shutdown", "", transport.ErrClosed)
			close(g.header)
			synctest.Wait()
			select {
			case err := <-ended:
				t.Fatalf("Shutdown returned %v while a body was still to come", err)
			default:
			}
			if len(meter.collect(t)) == 0 {
				t.Error("the metrics were unregistered while requests ran")
			}
			close(g.body)
			(<-running).is(t, "the running request", "something", nil)
			(<-waiting).is(t, "the waiting request", "something", nil)
			if err := <-ended; err != nil {
				t.Errorf("Shutdown: %v, want nil", err)
			}
			if st := tr.Stats(); st.Open != 0 || st.Active != 0 || st.Closed != st.Opened || m.open.Load() != 0 {
				t.Errorf("after Shutdown: %+v, %d connections open, want none", st, m.open.Load())
			}
			for name, metric := range meter.collect(t) {
				if _, recorded := metric.Data.(metricdata.Histogram[float64]); !recorded { // those are the SDK's to keep
					t.Errorf("%s is reported after Shutdown, want it unregistered", name)
				}
			}
		})
	})
}

func TestShutdownReturnsTheCauseOfItsContextAndCloseEndsTheRest(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		synctest.Test(t, func(t *testing.T) {
			g, m := newGated(), newMemory()
			s, tmpl := m.serve(t, mode, g)
			tr := newTransport(t, transport.Config{Template: tmpl})
			running := inBackground(t, tr, s.URL)
			ctx, cancel := context.WithTimeoutCause(context.Background(), time.Second, errFedUp)
			defer cancel()
			if err := tr.Shutdown(ctx); err != errFedUp {
				t.Errorf("Shutdown: %v, want its context's cause, %v", err, errFedUp)
			}
			if st := tr.Stats(); st.Active != 1 {
				t.Errorf("%d active after Shutdown gave up, want 1: what runs goes on", st.Active)
			}
			tr.Close()
			(<-running).is(t, "the running request", "", transport.ErrClosed)
		})
	})
}

func TestCloseInterruptsRequestsWhereverTheyAre(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		for _, where := range []string{"awaiting headers", "reading the body", "waiting for a slot", "dialing"} {
			if mode == "h2" && where == "waiting for a slot" {
				continue
			}
			t.Run(where, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g, m := newGated(), newMemory()
					s, tmpl := m.serve(t, mode, g)
					tmpl.MaxConnsPerHost = 1
					dialed := make(chan struct{})
					if where == "dialing" {
						tmpl.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
							defer close(dialed)
							<-ctx.Done()
							pass(time.Second / 2)
							return nil, ctx.Err()
						}
					}
					tr := newTransport(t, transport.Config{Template: tmpl})
					request := inBackground(t, tr, s.URL)
					body := ""
					switch where {
					case "reading the body":
						close(g.header)
						body = "some"
						synctest.Wait()
					case "waiting for a slot":
						first := request
						defer func() { <-first }()
						request = inBackground(t, tr, s.URL)
					}
					if err := tr.Close(); err != nil {
						t.Errorf("Close: %v, want nil", err)
					}
					if where == "dialing" {
						select {
						case <-dialed:
						default:
							t.Error("Close returned before the dial had ended")
						}
					}
					(<-request).is(t, "the request", body, transport.ErrClosed)
					synctest.Wait()
					if st := tr.Stats(); st.Open != 0 || st.Active != 0 || st.Waiting != 0 || st.Dialing != 0 || m.open.Load() != 0 {
						t.Errorf("after Close: %+v, %d connections open, want nothing", st, m.open.Load())
					}
				})
			})
		}
	})
}

func TestCloseWaitsNoLongerThanASecondForADial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, tmpl := newMemory().serve(t, "h1", http.NotFoundHandler())
		dial, late := tmpl.DialContext, make(chan struct{})
		tmpl.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			<-late // deaf to ctx
			return dial(context.WithoutCancel(ctx), network, addr)
		}
		tr := newTransport(t, transport.Config{Template: tmpl})
		request := inBackground(t, tr, "http://a.example/")
		start := time.Now()
		tr.Close()
		if got := time.Since(start); got != time.Second {
			t.Errorf("Close waited %v for a dial that goes on, want 1 s", got)
		}
		(<-request).is(t, "the request", "", transport.ErrClosed)
		close(late)
		synctest.Wait()
		if st := tr.Stats(); st.Opened != 1 || st.Closed != 1 || st.Open != 0 {
			t.Errorf("%d opened, %d closed, %d open, want what the dial brought to be closed", st.Opened, st.Closed, st.Open)
		}
	})
}

func TestCloseIdleConnectionsClosesWhatIsIdleOrFallsIdleBeforeTheNextRequest(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		synctest.Test(t, func(t *testing.T) {
			g, m := newGated(), newMemory()
			s, tmpl := m.serve(t, mode, g)
			tr := newTransport(t, transport.Config{Template: tmpl})
			running := inBackground(t, tr, s.URL)
			(&http.Client{Transport: tr}).CloseIdleConnections() // finds ours
			synctest.Wait()
			if got := m.open.Load(); got != 1 {
				t.Errorf("%d connections open, want the one in use", got)
			}
			close(g.header)
			close(g.body)
			(<-running).is(t, "the running request", "something", nil)
			synctest.Wait()
			if got := m.open.Load(); got != 0 {
				t.Errorf("%d connections open after it fell idle, want 0", got)
			}
			for range 2 {
				(<-inBackground(t, tr, s.URL)).is(t, "the next request", "something", nil)
			}
			if st := tr.Stats(); st.Opened != 2 || st.Idle != 1 {
				t.Errorf("%d opened, %d idle, want 2 and 1: keeping goes on with the next request", st.Opened, st.Idle)
			}
			tr.CloseIdleConnections()
			synctest.Wait()
			if got := m.open.Load(); got != 0 {
				t.Errorf("%d connections open, want 0", got)
			}
		})
	})
}
