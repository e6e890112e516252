package transport_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayopen-go/stayopen/pool"
	"github.com/stayopen-go/stayopen/transport"
)

// logbook is a writer for several goroutines.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logbook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// read returns the records, in order.
func (b *logbook) read(t *testing.T) (text string, records []map[string]any) {
	t.Helper()
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	for line := range strings.Lines(b.text.String()) {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
	}
	return b.text.String(), records
}

func (b *logbook) logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(b, &slog.HandlerOptions{Level: level}))
}

func TestOpensClosesAndRefusalsAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, book := newGated(), new(logbook)
		_, tmpl := newMemory().serve(t, "h1", g)
		tr := newTransport(t, transport.Config{
			Template: refusing("refused.example", tmpl), Logger: book.logger(slog.LevelDebug),
			MaxConnsPerHost: 1, MaxWaitersPerHost: 1, IdleConnTimeout: time.Minute,
		})
		first := inBackground(t, tr, "http://a.example/secret?token=secret")
		second := inBackground(t, tr, "http://user:secret@a.example/secret?token=secret")
		if _, _, err := get1(tr, newRequest(t, "GET", "http://a.example/secret", nil)); !errors.As(err, new(*pool.QueueFullError)) {
			t.Errorf("the third request: got %v, want a *pool.QueueFullError", err)
		}
		get1(tr, newRequest(t, "GET", "http://refused.example/secret", nil))
		close(g.header)
		close(g.body)
		<-first
		<-second
		pass(2 * time.Minute)
		text, records := book.read(t)
		if strings.Contains(text, "secret") {
			t.Errorf("a secret was logged:\n%s", text)
		}
		want := []map[string]any{
			{"msg": "connection opened", "origin": "http://a.example:80", "reason": "first", "protocol": "HTTP/1.1", "local": "127.0.0.1:2", "remote": "127.0.0.1:3"},
			{"msg": "request refused", "origin": "http://a.example:80"},
			{"msg": "dial failed", "origin": "http://refused.example:80", "step": "connect", "error": "ECONNREFUSED"},
			{"msg": "connection closed", "origin": "http://a.example:80", "reason": "idle_timeout", "initiator": "local", "requests": float64(2)},
		}
		if len(records) != len(want) {
			t.Fatalf("got %d records, want %d:\n%s", len(records), len(want), text)
		}
		for i := range want {
			for key, value := range want[i] {
				if got := records[i][key]; got != value {
					t.Errorf("record %d: %s is %v, want %v", i+1, key, got, value)
				}
			}
			if got := records[i]["level"]; got != "DEBUG" {
				t.Errorf("record %d: level %v, want DEBUG", i+1, got)
			}
		}
	})
}

func TestTheProxysCredentialsAreNotLogged(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *memory, tmpl *http.Transport) {
		book := new(logbook)
		tmpl.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: "proxy.example:3128", User: url.UserPassword("me", "secret")})
		tr := newTransport(t, transport.Config{Template: tmpl, Logger: book.logger(slog.LevelDebug)})
		burst(t, tr, 1, "a.example")
		text, records := book.read(t)
		if strings.Contains(text, "secret") || len(records) != 1 || records[0]["proxy"] != "http://proxy.example:3128" {
			t.Errorf("got %s, want the proxy without its credentials", text)
		}
	})
}

// askingHandler sends a request through the transport for each record.
type askingHandler struct {
	slog.Handler
	ask func()
}

func (h askingHandler) Handle(ctx context.Context, r slog.Record) error {
	h.ask()
	return h.Handler.Handle(ctx, r)
}

func TestALogHandlerMaySendRequestsThroughTheTransport(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *memory, tmpl *http.Transport) {
		book := new(logbook)
		var tr *transport.Transport
		var once sync.Once
		h := askingHandler{book.logger(slog.LevelDebug).Handler(), func() { once.Do(func() { burst1(t, tr) }) }}
		tr = newTransport(t, transport.Config{Template: tmpl, Logger: slog.New(h), MaxRequestsPerConn: 1})
		burst(t, tr, 1, "a.example")
		if _, records := book.read(t); len(records) != 4 {
			t.Errorf("got %d records, want 4: two connections were opened and closed", len(records))
		}
	})
}

func burst1(t *testing.T, tr *transport.Transport) {
	if _, _, err := get1(tr, newRequest(t, "GET", "http://a.example/", nil)); err != nil {
		t.Error(err)
	}
}

func TestNothingIsLoggedAboveDebug(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *memory, tmpl *http.Transport) {
		book := new(logbook)
		tr := newTransport(t, transport.Config{Template: tmpl, Logger: book.logger(slog.LevelInfo)})
		burst(t, tr, 2, "a.example")
		if text, _ := book.read(t); text != "" {
			t.Errorf("got %s, want nothing", text)
		}
	})
}
