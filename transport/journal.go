package transport

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/stayopen-go/stayopen/dialer"
	"github.com/stayopen-go/stayopen/internal/dialfail"
	"github.com/stayopen-go/stayopen/pool"
)

// maxJournal bounds the records that a slow handler has still to take.
const maxJournal = 1024

// journal writes to Config.Logger. Connections are closed under mutexes that are
// not ours, and a handler may take its time, or send what it gets through this
// very Transport: so it runs in a goroutine of its own. A nil journal writes
// nothing.
type journal struct {
	logger *slog.Logger

	mu      sync.Mutex // guards what follows; no handler is called under it
	queue   []slog.Record
	lost    int // records for which there was no room
	writing bool
}

func newJournal(logger *slog.Logger) *journal {
	if logger == nil {
		return nil
	}
	return &journal{logger: logger}
}

// note has a record written.
func (j *journal) note(text string, attrs ...slog.Attr) {
	r := slog.NewRecord(time.Now(), slog.LevelDebug, text, 0)
	r.AddAttrs(attrs...)
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.queue) >= maxJournal {
		j.lost++
		return
	}
	if j.lost > 0 {
		r.AddAttrs(slog.Int("records_lost", j.lost))
		j.lost = 0
	}
	j.queue = append(j.queue, r)
	if !j.writing {
		j.writing = true
		go j.write() // ends when the queue is empty
	}
}

func (j *journal) write() {
	ctx := context.Background()
	for {
		j.mu.Lock()
		queue := j.queue
		j.queue = nil
		j.writing = len(queue) > 0
		j.mu.Unlock()
		if len(queue) == 0 {
			return
		}
		for _, r := range queue {
			if h := j.logger.Handler(); h.Enabled(ctx, r.Level) {
				h.Handle(ctx, r)
			}
		}
	}
}

// logAttrs name o without anything that may be secret: not the proxy's
// credentials, and not the partition or the sticky key, which may name a user.
func (o origin) logAttrs() []slog.Attr {
	u := url.URL{Scheme: o.scheme, Host: o.addr}
	if o.proxy == "" {
		return []slog.Attr{slog.String("origin", u.String())}
	}
	via := o.proxyURL()
	if o.addr == "" {
		u.Host = "*" // whatever the proxy is asked for
	}
	return []slog.Attr{slog.String("origin", u.String()), slog.String("proxy", via.Scheme+"://"+via.Host)}
}

// opened notes that c was opened, and what for.
func (j *journal) opened(o origin, c *conn, why OpenReason, took time.Duration) {
	if j == nil {
		return
	}
	j.note("connection opened", append(o.logAttrs(),
		slog.String("local", addrText(c.wire.LocalAddr())),
		slog.String("remote", addrText(c.wire.RemoteAddr())),
		slog.String("protocol", "HTTP/"+versions[version(c.http2)]),
		slog.String("reason", string(why)),
		slog.Duration("took", took))...)
}

// closed notes how c ended.
func (j *journal) closed(c *conn, r dialer.CloseRecord, why reason) {
	if j == nil {
		return
	}
	kind := "fin"
	if r.Reset {
		kind = "reset"
	}
	j.note("connection closed", append(c.origin.logAttrs(),
		slog.String("local", addrText(c.wire.LocalAddr())),
		slog.String("remote", addrText(c.wire.RemoteAddr())),
		slog.String("reason", string(why)),
		slog.String("initiator", string(r.By)),
		slog.String("kind", kind),
		slog.Bool("time_wait", r.TimeWait),
		slog.Duration("age", r.At.Sub(c.born)),
		slog.Int64("requests", c.life.exchanges.Load()))...)
}

// dialFailed notes where a dial failed. The error itself may quote what a user's
// dial function or proxy was given, and is left out.
func (j *journal) dialFailed(o origin, step string, err error, took time.Duration) {
	if j == nil {
		return
	}
	at, kind := dialfail.Of(err)
	if step != "" {
		at = step
	}
	attrs := append(o.logAttrs(), slog.String("step", at), slog.String("error", kind), slog.Duration("took", took))
	var out *dialer.ExhaustedError
	if errors.As(err, &out) {
		attrs = append(attrs, slog.String("destination", out.Destination.String()),
			slog.Int("in_use", out.InUse), slog.Int("time_wait", out.TimeWait), slog.Int("ports", out.Ports))
	}
	j.note("dial failed", attrs...)
}

// refused notes that a request was not let wait, or not any longer.
func (j *journal) refused(o origin, err error) {
	var full *pool.QueueFullError
	var late *pool.WaitError
	if j == nil || !errors.As(err, &full) && !errors.As(err, &late) {
		return
	}
	j.note("request refused", append(o.logAttrs(), slog.String("error", err.Error()))...)
}

func addrText(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}
