package transport_test

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/transport"
)

func TestContradictingConfigsAreRefusedByField(t *testing.T) {
	keepNone := &http.Transport{DisableKeepAlives: true}
	for _, c := range []struct {
		name, field string
		cfg         transport.Config
	}{
		{"more for one host than for all", "MaxConnsPerHost", transport.Config{MaxConnsPerHost: 3, MaxConns: 2}},
		{"more idle for one host than for all", "MaxIdleConnsPerHost", transport.Config{MaxIdleConnsPerHost: 3, MaxIdleConns: 2}},
		{"more idle than open", "MaxIdleConns", transport.Config{MaxIdleConns: 3, MaxConns: 2}},
		{"more idle than open for one host", "MaxIdleConnsPerHost", transport.Config{MaxIdleConnsPerHost: 3, MaxConnsPerHost: 2}},
		{"no protocol", "Template.Protocols", transport.Config{Template: &http.Transport{Protocols: new(http.Protocols)}}},
		{"idle connections without keep-alive", "Template.DisableKeepAlives", transport.Config{Template: keepNone, MaxIdleConns: 1}},
		{"idle connections of a host without keep-alive", "Template.DisableKeepAlives", transport.Config{Template: keepNone, MaxIdleConnsPerHost: 1}},
		{"idle time without keep-alive", "Template.DisableKeepAlives", transport.Config{Template: keepNone, IdleConnTimeout: time.Second}},
		{"age without keep-alive", "Template.DisableKeepAlives", transport.Config{Template: keepNone, MaxConnAge: time.Second}},
		{"an unknown way to close", "ClosePolicy.ResetIdle", transport.Config{ClosePolicy: transport.ClosePolicy{ResetIdle: transport.ResetNever + 1}}},
		{"protocols of others", "Template.TLSNextProto", transport.Config{Template: &http.Transport{
			TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{"spdy/3": nil},
		}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr, err := transport.New(c.cfg)
			if err == nil {
				tr.Close()
				t.Fatal("New took it")
			}
			var refused *transport.ConfigError
			if !errors.As(err, &refused) || refused.Field != c.field {
				t.Fatalf("got %#v, want a *ConfigError with the field %s", err, c.field)
			}
			if refused.Text == "" || !strings.HasPrefix(err.Error(), "transport: Config."+c.field+": ") {
				t.Errorf("got the text %q, want the field and what is wrong with it", err)
			}
		})
	}
}

func TestInvalidDialerIsRefusedByField(t *testing.T) {
	_, err := transport.New(transport.Config{Dialer: &dialer.Dialer{Sources: []netip.Prefix{{}}}})
	if err == nil || !strings.HasPrefix(err.Error(), "transport: Config.Dialer: ") || !strings.Contains(err.Error(), "Sources") {
		t.Errorf("got %v, want an error that names Config.Dialer and Sources", err)
	}
}

func TestConfigsThatOnlyLookOddAreTaken(t *testing.T) {
	for name, cfg := range map[string]transport.Config{
		"zero":                      {},
		"all limits equal":          {MaxConns: 2, MaxConnsPerHost: 2, MaxIdleConns: 2, MaxIdleConnsPerHost: 2},
		"no limit anywhere":         {MaxConns: -1, MaxConnsPerHost: -1, MaxIdleConns: -1, MaxIdleConnsPerHost: -1, MaxDialsPerHost: -1, IdleConnTimeout: -1, MaxConnAge: -1},
		"nothing kept, said twice":  {Template: &http.Transport{DisableKeepAlives: true, MaxIdleConnsPerHost: -1}},
		"clone of the default":      {Template: http.DefaultTransport.(*http.Transport).Clone()},
		"HTTP/2 turned off of old":  {Template: &http.Transport{TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}}},
		"template that was used":    {Template: usedTransport(t)},
		"limits of template differ": {Template: &http.Transport{MaxIdleConns: 1, MaxIdleConnsPerHost: 5, MaxConnsPerHost: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			tr, err := transport.New(cfg)
			if err != nil {
				t.Fatalf("New: %v", err)
			}
			tr.Close()
		})
	}
}

// usedTransport has settled which protocols it speaks.
func usedTransport(t *testing.T) *http.Transport {
	tr := http.DefaultTransport.(*http.Transport).Clone()
	if _, err := tr.RoundTrip(newRequest(t, "GET", "gopher://site.example/", nil)); err == nil {
		t.Fatal("a request for gopher succeeded")
	}
	return tr
}

func TestConfigIsReadOnce(t *testing.T) {
	s := serve(t, "h1", http.NotFoundHandler())
	tmpl := s.template("h1")
	cfg := transport.Config{Template: tmpl, Dialer: new(dialer.Dialer)}
	tr := newTransport(t, cfg)
	tmpl.Proxy = func(*http.Request) (*url.URL, error) { return nil, errors.New("asked the proxy") }
	tmpl.DisableKeepAlives = true
	tmpl.MaxIdleConnsPerHost = -1
	cfg.Dialer, cfg.MaxConns = nil, 1
	for range 3 {
		mustGet(t, &http.Client{Transport: tr}, s.URL)
	}
	if got := s.accepts.Load(); got != 1 {
		t.Errorf("%d connections, want 1: the template was changed after New, to no effect", got)
	}
}
