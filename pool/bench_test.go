package pool

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// source is what the benchmarks compare: a pool, and the least that could do its
// work.
type source interface {
	exchange(ctx context.Context) error
}

const benchKey = "https://service-17.example.internal:8443"

type pooled struct{ *Pool[string, *wire] }

func (p pooled) exchange(ctx context.Context) error {
	l, err := p.Get(ctx, benchKey)
	if err == nil {
		l.Release()
	}
	return err
}

// channel is the baseline: it knows one key, no limits and no time, and lets
// those who wait do so in line.
type channel chan *wire

func (c channel) exchange(ctx context.Context) error {
	select {
	case w := <-c:
		c <- w
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

type candidate struct {
	name   string
	source source
}

// candidates have conns connections, which a pool may not exceed.
func candidates(b *testing.B, conns int) []candidate {
	c := make(channel, conns)
	for range conns {
		c <- &wire{}
	}
	never := Config[string, *wire]{MaxPerKey: conns}
	idle, both := never, never
	idle.IdleTimeout = time.Minute
	both.IdleTimeout, both.MaxAge = time.Minute, time.Hour
	return []candidate{
		{"source=channel", c},
		{"source=pool/expire=never", benchPool(b, never)},
		{"source=pool/expire=idle", benchPool(b, idle)},
		{"source=pool/expire=idle_and_age", benchPool(b, both)},
	}
}

// benchPool is a pool whose dials cost nothing.
func benchPool(b *testing.B, cfg Config[string, *wire]) pooled {
	cfg.Dial = func(context.Context, string, *Conn[string, *wire]) (*wire, int, error) {
		return &wire{}, 1, nil
	}
	cfg.Close = func(*wire, Reason) {}
	p, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { p.Close() })
	return pooled{p}
}

// With one connection the pool's timer stops and starts with each exchange; with
// a second one that stays idle it runs on.
func BenchmarkHit(b *testing.B) {
	for _, conns := range []int{1, 2} {
		for _, c := range candidates(b, conns) {
			b.Run(fmt.Sprintf("conns=%d/%s", conns, c.name), func(b *testing.B) {
				ctx := context.Background()
				if p, ok := c.source.(pooled); ok && conns == 2 {
					l, err := p.Get(ctx, benchKey)
					if err != nil {
						b.Fatal(err)
					}
					if err := c.source.exchange(ctx); err != nil {
						b.Fatal(err)
					}
					l.Release()
				}
				b.ReportAllocs()
				for b.Loop() {
					if err := c.source.exchange(ctx); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// Many goroutines on connections enough for all, or for few of them.
func BenchmarkContended(b *testing.B) {
	const goroutines = 200
	for _, conns := range []int{4, goroutines} {
		for _, c := range candidates(b, conns) {
			b.Run(fmt.Sprintf("conns=%d/%s", conns, c.name), func(b *testing.B) {
				b.ReportAllocs()
				b.SetParallelism(goroutines / 2)
				b.RunParallel(func(pb *testing.PB) {
					ctx, cancel := context.WithCancel(context.Background())
					defer cancel()
					for pb.Next() {
						if err := c.source.exchange(ctx); err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
		}
	}
}
