package transport_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/transport"
)

// pass lets d go by on a bubble's clock.
func pass(d time.Duration) { <-time.After(d) }

// slow answers after a second.
var slow = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { pass(time.Second) })

// inBubble runs test in a bubble, against an HTTP/1.1 server that answers after
// a second. All hosts lead there.
func inBubble(t *testing.T, test func(t *testing.T, m *memory, tmpl *http.Transport)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		_, tmpl := m.serve(t, "h1", slow)
		test(t, m, tmpl)
	})
}

// burst sends n requests at once, spread over the hosts.
func burst(t *testing.T, rt http.RoundTripper, n int, hosts ...string) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			req, err := http.NewRequest("GET", "http://"+hosts[i%len(hosts)]+"/", nil)
			if err == nil {
				_, _, err = get1(rt, req)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	synctest.Wait()
}

// many is as many as there is use for, where no limit is felt.
const many = 20

func TestMaxConnsPerHostLimitsEachHost(t *testing.T) {
	for _, c := range []struct{ template, config, want int }{
		{0, 0, many}, {3, 0, 3}, {0, 3, 3}, {5, 3, 3}, {3, 5, 5}, {3, -1, many}, {-1, 0, many},
	} {
		t.Run(fmt.Sprintf("template %d, config %d", c.template, c.config), func(t *testing.T) {
			inBubble(t, func(t *testing.T, m *memory, tmpl *http.Transport) {
				tmpl.MaxConnsPerHost = c.template
				tr := newTransport(t, transport.Config{Template: tmpl, MaxConnsPerHost: c.config})
				burst(t, tr, many, "a.example")
				if got := m.most.Load(); got != int64(c.want) {
					t.Errorf("%d connections for %d requests at once, want %d", got, many, c.want)
				}
				burst(t, tr, many, "b.example")
				if got := m.most.Load(); got != int64(2*c.want) {
					t.Errorf("%d connections with a second host, want %d: the limit is each host's", got, 2*c.want)
				}
			})
		})
	}
}

func TestMaxConnsLimitsAllHostsTogether(t *testing.T) {
	for _, c := range []struct{ config, want int }{{0, 2 * many}, {-1, 2 * many}, {3, 3}} {
		t.Run(fmt.Sprint(c.config), func(t *testing.T) {
			inBubble(t, func(t *testing.T, m *memory, tmpl *http.Transport) {
				tr := newTransport(t, transport.Config{Template: tmpl, MaxConns: c.config})
				burst(t, tr, 2*many, "a.example", "b.example")
				if got := tr.Stats(); got.Open != c.want {
					t.Errorf("%d connections for %d requests to two hosts, want %d", got.Open, 2*many, c.want)
				}
				before := tr.Stats()
				burst(t, tr, 1, "c.example")
				made := uint64(0)
				if c.want == 3 {
					made = 1
				}
				if got := tr.Stats(); got.Closed-before.Closed != made || got.Opened-before.Opened != 1 {
					t.Errorf("%d closed, %d opened for a third host, want %d closed to make room for 1", got.Closed-before.Closed, got.Opened-before.Opened, made)
				}
			})
		})
	}
}

func TestMaxIdleConnsPerHostLimitsWhatEachHostKeeps(t *testing.T) {
	for _, c := range []struct{ template, config, want int }{
		{0, 0, many}, {3, 0, 3}, {-1, 0, 0}, {0, 3, 3}, {5, 3, 3}, {3, 5, 5}, {3, -1, many}, {-1, 3, 3}, {-1, -1, many},
	} {
		t.Run(fmt.Sprintf("template %d, config %d", c.template, c.config), func(t *testing.T) {
			inBubble(t, func(t *testing.T, m *memory, tmpl *http.Transport) {
				tmpl.MaxIdleConnsPerHost = c.template
				tr := newTransport(t, transport.Config{Template: tmpl, MaxIdleConnsPerHost: c.config})
				burst(t, tr, 2*many, "a.example", "b.example")
				if got := tr.Stats().Idle; got != 2*c.want || m.open.Load() != int64(got) {
					t.Errorf("%d idle, %d open for two hosts, want %d and as many", got, m.open.Load(), 2*c.want)
				}
			})
		})
	}
}

func TestMaxIdleConnsLimitsWhatIsKeptInAll(t *testing.T) {
	for _, c := range []struct{ template, config, want int }{
		{0, 0, 2 * many}, {3, 0, 3}, {0, 3, 3}, {5, 3, 3}, {3, 5, 5}, {3, -1, 2 * many}, {-1, 0, 2 * many},
	} {
		t.Run(fmt.Sprintf("template %d, config %d", c.template, c.config), func(t *testing.T) {
			inBubble(t, func(t *testing.T, m *memory, tmpl *http.Transport) {
				tmpl.MaxIdleConns = c.template
				tr := newTransport(t, transport.Config{Template: tmpl, MaxIdleConns: c.config})
				burst(t, tr, 2*many, "a.example", "b.example")
				if got := tr.Stats().Idle; got != c.want || m.open.Load() != int64(got) {
					t.Errorf("%d idle, %d open, want %d and as many", got, m.open.Load(), c.want)
				}
			})
		})
	}
}

func TestIdleLimitClosesTheConnectionUsedLongestAgo(t *testing.T) {
	inBubble(t, func(t *testing.T, m *memory, tmpl *http.Transport) {
		tr := newTransport(t, transport.Config{Template: tmpl, MaxIdleConns: 2})
		for _, step := range []struct {
			host   string
			opened uint64
		}{{"a", 1}, {"b", 2}, {"a", 2}, {"c", 3}, {"a", 3}, {"c", 3}, {"b", 4}, {"a", 5}} {
			burst(t, tr, 1, step.host+".example")
			if got := tr.Stats().Opened; got != step.opened {
				t.Errorf("after a request to %s: %d opened, want %d", step.host, got, step.opened)
			}
		}
	})
}

func TestNoLimitOfTwoIdleConnectionsPerHost(t *testing.T) {
	inBubble(t, func(t *testing.T, m *memory, tmpl *http.Transport) {
		defer tmpl.CloseIdleConnections()
		burst(t, tmpl, many, "a.example")
		if got := m.open.Load(); got != 2 {
			t.Errorf("void: http.Transport keeps %d connections, not 2", got)
		}
		tr := newTransport(t, transport.Config{Template: tmpl.Clone()})
		burst(t, tr, many, "a.example")
		if got := tr.Stats().Idle; got != many {
			t.Errorf("%d kept of %d, want all", got, many)
		}
	})
}

func TestNoLimitOfAHundredIdleConnectionsWithoutTemplate(t *testing.T) {
	const hosts = 110
	s := serve(t, "h1", http.NotFoundHandler())
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	resolver := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nameServer(net.IPv4(127, 0, 0, 1)), nil
	}}
	visit := func(rt http.RoundTripper) {
		for i := range hosts {
			url := fmt.Sprintf("http://site%d.example:%s/", i, port)
			if _, _, err := get1(rt, newRequest(t, "GET", url, nil)); err != nil {
				t.Fatal(err)
			}
		}
	}
	theirs := http.DefaultTransport.(*http.Transport).Clone()
	theirs.DialContext = (&net.Dialer{Resolver: resolver}).DialContext
	defer theirs.CloseIdleConnections()
	visit(theirs)
	visit(theirs)
	if got := s.accepts.Load(); got == hosts {
		t.Error("void: http.DefaultTransport keeps them all too")
	}
	before := s.accepts.Load()
	tr := newTransport(t, transport.Config{Dialer: &dialer.Dialer{Resolver: resolver}})
	visit(tr)
	visit(tr)
	if got := s.accepts.Load() - before; got != hosts || tr.Stats().Idle != hosts {
		t.Errorf("%d connections for two rounds over %d hosts, %d kept, want one for each host", got, hosts, tr.Stats().Idle)
	}
}

func TestIdleConnTimeoutCloses(t *testing.T) {
	const hour = time.Hour
	for _, c := range []struct{ template, config, want time.Duration }{
		{10 * time.Second, 0, 10 * time.Second}, {0, 5 * time.Second, 5 * time.Second}, {10 * time.Second, 5 * time.Second, 5 * time.Second},
		{0, 0, hour}, {10 * time.Second, -1, hour}, {-1, 0, hour},
	} {
		for _, mode := range []string{"h1", "h2"} {
			t.Run(fmt.Sprintf("%s, template %v, config %v", mode, c.template, c.config), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := newMemory()
					s, tmpl := m.serve(t, mode, http.NotFoundHandler())
					tmpl.IdleConnTimeout = c.template
					tr := newTransport(t, transport.Config{Template: tmpl, IdleConnTimeout: c.config})
					mustGet(t, &http.Client{Transport: tr}, s.URL)
					pass(c.want - 2*time.Second)
					mustGet(t, &http.Client{Transport: tr}, s.URL) // begins the time anew
					if c.want == hour {
						pass(24 * hour)
						synctest.Wait()
						if got := m.open.Load(); got != 1 {
							t.Errorf("%d open after a day, want 1: there is no limit", got)
						}
						return
					}
					pass(c.want - time.Millisecond)
					if st := tr.Stats(); st.Opened != 1 || m.open.Load() != 1 {
						t.Errorf("%d opened, %d open just before the timeout, want 1 and 1", st.Opened, m.open.Load())
					}
					pass(200 * time.Millisecond)
					synctest.Wait()
					if st := tr.Stats(); st.Closed != 1 || m.open.Load() != 0 {
						t.Errorf("%d closed, %d open just after the timeout, want 1 and 0", st.Closed, m.open.Load())
					}
				})
			})
		}
	}
}

func TestMaxConnAgeRetires(t *testing.T) {
	const age = 100 * time.Second
	inBubble(t, func(t *testing.T, m *memory, tmpl *http.Transport) {
		tr := newTransport(t, transport.Config{Template: tmpl, MaxConnAge: age})
		ages := make(map[time.Duration]bool)
		for range 10 {
			burst(t, tr, 1, "a.example")
			born := time.Now().Add(-time.Second) // the request took a second
			for m.open.Load() > 0 {
				pass(100 * time.Millisecond)
				synctest.Wait()
			}
			lived := time.Since(born)
			ages[lived.Round(time.Second)] = true
			if lived < age*9/10 || lived > age+time.Second {
				t.Errorf("closed after %v, want between 90 s and 100 s", lived)
			}
		}
		if len(ages) < 2 {
			t.Errorf("ten connections all lived for %v, want them spread", ages)
		}
	})
}

func TestMaxConnAgeLetsARunningExchangeFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		_, tmpl := m.serve(t, "h1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			pass(time.Hour)
			io.WriteString(w, "at last")
		}))
		tr := newTransport(t, transport.Config{Template: tmpl, MaxConnAge: time.Minute})
		body, _, err := get1(tr, newRequest(t, "GET", "http://a.example/", nil))
		if body != "at last" || err != nil {
			t.Errorf("got %q, %v from an exchange longer than MaxConnAge, want all of it", body, err)
		}
		synctest.Wait()
		if got := m.open.Load(); got != 0 {
			t.Errorf("%d open after it, want 0", got)
		}
	})
}

func TestMaxDialsPerHostLimitsDialsInProgress(t *testing.T) {
	const many = 40
	for _, c := range []struct{ config, want int }{{0, 32}, {3, 3}, {-1, many}} {
		t.Run(fmt.Sprint(c.config), func(t *testing.T) {
			inBubble(t, func(t *testing.T, m *memory, tmpl *http.Transport) {
				var now, most atomic.Int64
				tmpl.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					raise(&most, now.Add(1))
					pass(100 * time.Millisecond) // a longer one would count no more
					now.Add(-1)
					return m.DialContext(ctx, network, addr)
				}
				tr := newTransport(t, transport.Config{Template: tmpl, MaxDialsPerHost: c.config})
				burst(t, tr, many, "a.example")
				if got := most.Load(); got != int64(c.want) {
					t.Errorf("%d dials at once for %d requests, want %d", got, many, c.want)
				}
			})
		})
	}
}

func TestDialsThatHangDoNotHoldUpOthers(t *testing.T) {
	inBubble(t, func(t *testing.T, m *memory, tmpl *http.Transport) {
		hang := make(chan struct{})
		var dials atomic.Int64
		tmpl.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if dials.Add(1) <= 3 {
				<-hang
			}
			return m.DialContext(ctx, network, addr)
		}
		tr := newTransport(t, transport.Config{Template: tmpl, MaxDialsPerHost: 3})
		start := time.Now()
		burst(t, tr, 4, "a.example")
		if got := time.Since(start); got > 10*time.Second {
			t.Errorf("four requests took %v, want some seconds: three dials hang, which must not hold up the fourth's", got)
		}
		close(hang)
	})
}

func TestDisableKeepAlivesClosesAfterEachResponse(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		synctest.Test(t, func(t *testing.T) {
			m := newMemory()
			s, tmpl := m.serve(t, mode, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprint(w, r.Proto, " close: ", r.Close)
			}))
			tmpl.DisableKeepAlives = true
			sameOnBoth(t, tmpl, func(t *testing.T, rt http.RoundTripper) string {
				var report []string
				before := s.accepts.Load()
				for range 3 {
					body, resp, err := get1(rt, newRequest(t, "GET", s.URL, nil))
					if err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					report = append(report, fmt.Sprint(body, " close: ", resp.Close, " connections: ", s.accepts.Load()-before, " open: ", m.open.Load()))
				}
				return strings.Join(report, "\n")
			})
		})
	})
}

func TestDisableKeepAlivesKeepsNoConnectionThatNobodyUsed(t *testing.T) {
	inBubble(t, func(t *testing.T, m *memory, tmpl *http.Transport) {
		slowTo("a.example", tmpl).DisableKeepAlives = true
		tr := newTransport(t, transport.Config{Template: tmpl})
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		if _, _, err := get1(tr, newRequest(t, "GET", "http://a.example/", nil).WithContext(ctx)); err == nil {
			t.Error("a request was answered without a connection")
		}
		pass(time.Minute)
		synctest.Wait()
		if st := tr.Stats(); st.Opened != 1 || m.open.Load() != 0 {
			t.Errorf("%d opened, %d open, want 1 and 0: nobody is there to use it", st.Opened, m.open.Load())
		}
	})
}
