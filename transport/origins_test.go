package transport_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/transport"
)

// sumOfOrigins adds up every number of the origins' figures, by name, and returns
// those of the origins that are forgotten beside it.
func sumOfOrigins(tr *transport.Transport) (sum map[string]int64, rest *transport.OriginStats, n int) {
	sum = make(map[string]int64)
	for s := range tr.Origins() {
		n++
		if s.Scheme == "" {
			rest = &s
		}
		for name, value := range numbers(s) {
			sum[name] += value
		}
	}
	return sum, rest, n
}

// numbers are the fields of a struct that are numbers.
func numbers(s any) map[string]int64 {
	all := make(map[string]int64)
	v := reflect.ValueOf(s)
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Int, reflect.Int64:
			all[v.Type().Field(i).Name] = f.Int()
		case reflect.Uint64:
			all[v.Type().Field(i).Name] = int64(f.Uint())
		}
	}
	return all
}

// checkOrigins compares the origins' sums with what is said of the whole. A close
// may come between the two, so that they may have to be compared again.
func checkOrigins(t *testing.T, tr *transport.Transport) (rest *transport.OriginStats, n int) {
	t.Helper()
	var wrong []string
	for range 100 {
		if rest, n, wrong = compareOrigins(tr); len(wrong) == 0 {
			return rest, n
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Error(strings.Join(wrong, "; "))
	return rest, n
}

func compareOrigins(tr *transport.Transport) (rest *transport.OriginStats, n int, wrong []string) {
	got, rest, n := sumOfOrigins(tr)
	want := numbers(tr.Stats())
	for _, c := range tr.Closes() {
		want["closes"] += int64(c.N)
		if c.By == dialer.Peer {
			want["ClosedByPeer"] += int64(c.N)
		}
	}
	if want["closes"] != want["Closed"] {
		wrong = append(wrong, fmt.Sprintf("Closes add up to %d, want Stats.Closed, %d", want["closes"], want["Closed"]))
	}
	for name, sum := range got {
		if w, ok := want[name]; ok && sum != w || !ok && name != "DialsFailed" && name != "ClosedByPeer" {
			wrong = append(wrong, fmt.Sprintf("%s: the origins' add up to %d, want that of Stats, %d (which has it: %v)", name, sum, w, ok))
		}
	}
	return rest, n, wrong
}

func TestTheOriginsFiguresAddUpToThoseOfStats(t *testing.T) {
	load := newMixedLoad(t)
	tr := newTransport(t, transport.Config{Template: load.template()})
	load.run(tr, 1000)
	await(t, "the transport to be at rest", func() bool {
		st := tr.Stats()
		return st.Active == 0 && st.Waiting == 0 && st.Dialing == 0 && st.Open == st.Idle
	})
	rest, n := checkOrigins(t, tr)
	if rest != nil || n < len(load.servers)+1 {
		t.Errorf("got %d origins and the rest %+v, want one for each server and no rest", n, rest)
	}
	for s := range tr.Origins() {
		if want := "http://" + s.Host + "/"; want == load.nobody && (s.DialsFailed == 0 || s.Opened != 0) {
			t.Errorf("where nobody listens: got %+v, want failed dials and no connection", s)
		}
	}
	tr.Close()
	await(t, "every connection to be counted as closed", func() bool { st := tr.Stats(); return st.Closed == st.Opened })
	checkOrigins(t, tr)
}

func TestOriginsThatAreForgottenAreSummedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		s, template := m.serve(t, "h1", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		defer s.Close()
		tr := newTransport(t, transport.Config{Template: template})
		defer tr.Close()
		const many = 3000
		get := func(i int) { send(t, tr, fmt.Sprintf("http://host-%d.example/", i)) }
		for i := range many {
			get(i)
		}
		if rest, n := checkOrigins(t, tr); rest != nil || n != many {
			t.Errorf("while they have connections: got %d origins and the rest %+v, want all %d", n, rest, many)
		}
		tr.CloseIdleConnections()
		synctest.Wait()
		get(many - 1) // which is remembered
		get(many - 2)
		rest, n := checkOrigins(t, tr)
		if rest == nil || rest.Exchanges == 0 || n > 1024+3 {
			t.Errorf("without connections: got %d origins and the rest %+v, want about 1,024, and the rest not zero", n, rest)
		}
		tr.CloseIdleConnections()
		synctest.Wait()
		checkOrigins(t, tr)
	})
}

func send(t *testing.T, tr *transport.Transport, url string) {
	t.Helper()
	resp, err := tr.RoundTrip(newRequest(t, "GET", url, nil))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

func TestOriginsNameTheirWayButNoSecrets(t *testing.T) {
	target := serve(t, "h1", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer proxy.Close()
	via, _ := url.Parse(proxy.URL)
	via.User = url.UserPassword("user-secret", "password-secret")
	template := target.template("h1")
	template.Proxy = func(req *http.Request) (*url.URL, error) {
		if req.Header.Get("Via-Proxy") != "" {
			return via, nil
		}
		return nil, nil
	}
	tr := newTransport(t, transport.Config{
		Name:      "named",
		Template:  template,
		Partition: func(*http.Request) string { return "partition-secret" },
	})
	send(t, tr, target.URL)
	req := newRequest(t, "GET", target.URL, nil)
	req.Header.Set("Via-Proxy", "yes")
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	pinned := newRequest(t, "GET", target.URL, nil)
	pinned = pinned.WithContext(dialer.WithStickyKey(pinned.Context(), "sticky-secret"))
	if resp, err = tr.RoundTrip(pinned); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()

	host := strings.TrimPrefix(target.URL, "http://")
	n := 0
	for s := range tr.Origins() {
		n++
		if text := fmt.Sprintf("%+v", s); strings.Contains(text, "secret") {
			t.Errorf("got %s, want no secret in it", text)
		}
		switch {
		case s.Scheme != "http" || s.Protocol != "HTTP/1.1" || s.Source != (netip.Addr{}) || s.Exchanges != 1:
			t.Errorf("got %+v, want one exchange of HTTP/1.1", s)
		case s.Proxy == "" && s.Host == host, s.Proxy == "http://"+via.Host && s.Host == "":
		default:
			t.Errorf("got %+v, want %s, or any host through %s", s, host, via.Host)
		}
	}
	if n != 3 || tr.Name() != "named" {
		t.Errorf("got %d origins of %q, want 3 of \"named\"", n, tr.Name())
	}
}

func TestALoopOverTheOriginsHoldsNoRequestUp(t *testing.T) {
	inModes(t, func(t *testing.T, mode string) {
		s := serve(t, mode, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		tr := newTransport(t, transport.Config{Template: s.template(mode)})
		send(t, tr, s.URL)
		loops := 0
		for range tr.Origins() { // each of these would wait for the end of the loop
			loops++
			send(t, tr, s.URL)
			tr.CloseIdleConnections()
			send(t, tr, s.URL)
			for range tr.Origins() {
			}
			tr.Stats()
		}
		if loops != 1 {
			t.Errorf("got %d origins, want 1", loops)
		}
	})
}

func TestAnOriginWhoseFirstDialBeginsDuringTheLoopIsThereOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := map[string]chan error{"first.example:80": make(chan error, 1), "second.example:80": make(chan error, 1)}
		dial := func(_ context.Context, _, addr string) (net.Conn, error) { return nil, <-answers[addr] }
		tr := newTransport(t, transport.Config{Template: &http.Transport{DialContext: dial}, MaxDials: 1})
		defer tr.Close()
		get := func(url string) {
			req, _ := http.NewRequest(http.MethodGet, url, nil)
			tr.RoundTrip(req)
		}
		go get("http://first.example/") // ends with its answer, as does the other
		synctest.Wait()
		go get("http://second.example/")
		synctest.Wait()
		times := make(map[string]int)
		for s := range tr.Origins() {
			if times[s.Host]++; s.Host == "second.example:80" && times[s.Host] == 1 {
				answers["first.example:80"] <- syscall.ECONNREFUSED
				synctest.Wait()
			}
		}
		if times["second.example:80"] != 1 {
			t.Errorf("got each origin so often: %v, want it once", times)
		}
		answers["second.example:80"] <- syscall.ECONNREFUSED
		synctest.Wait()
	})
}

func TestWhatComesDuringTheLoopIsNotShownAsOpenWhereOriginsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		s, template := m.serve(t, "h1", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		defer s.Close()
		tr := newTransport(t, transport.Config{Template: template})
		defer tr.Close()
		for i := range 1100 {
			send(t, tr, fmt.Sprintf("http://host-%d.example/", i))
		}
		tr.CloseIdleConnections()
		synctest.Wait()
		send(t, tr, "http://host-0.example/")
		late := false
		for s := range tr.Origins() {
			if !late {
				late = true
				send(t, tr, "http://late.example/")
			}
			if s.Scheme == "" && s.Open+s.Idle+s.Active+s.Dialing+s.Waiting != 0 {
				t.Errorf("origins that are forgotten: got %+v, want nothing that is there now", s)
			}
		}
	})
}
